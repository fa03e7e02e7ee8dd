"""The report: text for people, JSON for machines, and a picture."""

from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.figures import LESS, Section, Series
from benchmarks.picture import draw

WIDTH = 120
PASSED, FAILED, OPEN = "✔", "✘", "–"


def write(folder: Path, sections: list[Section], machine: dict[str, str], runs: int) -> list[Path]:
    """Write `latest.txt`, `latest.json` and `latest.svg` into the folder; answers their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    text, data, picture = (folder / f"latest.{ending}" for ending in ("txt", "json", "svg"))
    with text.open("w", encoding="utf-8") as file:
        show(Console(file=file, width=WIDTH), sections, machine, runs)
    data.write_bytes(orjson.dumps(to_json(sections, machine, runs), option=orjson.OPT_INDENT_2) + b"\n")
    picture.write_text(draw(sections, machine), encoding="utf-8")
    return [text, data, picture]


def to_json(sections: list[Section], machine: dict[str, str], runs: int) -> dict[str, Any]:
    return {
        "machine": machine,
        "runs": runs,
        "passed": passed(sections),
        "sections": [section.to_json() for section in sections],
    }


def passed(sections: list[Section]) -> bool:
    """Whether every part could be measured, and every target was met."""
    return not any(section.failed for section in sections) and all(
        section.holds(ratio) is True for section in sections for ratio in section.ratios if ratio.limit is not None
    )


def show(console: Console, sections: list[Section], machine: dict[str, str], runs: int) -> None:
    """The report as text: the targets first, then each section with its medians, spreads and ratios."""
    console.print(Text("HelixNet's benchmarks", style="bold"))
    console.print(f"Medians of {runs} runs (lowest to highest); each ratio to a floor measured in the same run.\n")
    _targets(console, sections)
    for section in sections:
        _section(console, section)
    console.print(Text("Measured on", style="bold"))
    console.print(", ".join(f"{name}: {value}" for name, value in machine.items()))


def _targets(console: Console, sections: list[Section]) -> None:
    table = Table("", "target", "must be", "is", title="Targets", title_justify="left")
    for section in sections:
        for ratio in section.ratios:
            if ratio.limit is not None:
                sign = "at most" if ratio.better == LESS else "at least"
                table.add_row(
                    mark(section.holds(ratio)),
                    f"{section.title}: {ratio.text}",
                    f"{sign} {ratio.limit:g}x",
                    times(section.value(ratio)),
                )
    if table.row_count:
        console.print(table)


def _section(console: Console, section: Section) -> None:
    console.print()
    console.print(Text(section.title, style="bold"))
    console.print(section.explanation)
    table = Table()
    table.add_column("what", ratio=1)
    for name in ("median", "lowest to highest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit")
    for series in section.series:
        table.add_row(series.title, number(series.median), _spread(series), series.unit)
    if section.series:
        console.print(table)
    for series in section.series:
        if series.note:
            console.print(f"  {series.title}: {series.note}", markup=False, highlight=False)
    for ratio in section.ratios:
        limit = "" if ratio.limit is None else f"  {mark(section.holds(ratio))}"
        console.print(f"  {ratio.text}: {times(section.value(ratio))}{limit}")
    for note in section.notes:
        console.print(f"  {note.strip()}", style="dim", markup=False, highlight=False)


def _spread(series: Series) -> str:
    return f"{number(min(series.values))} – {number(max(series.values))}" if series.values else "not measured"


def mark(holds: bool | None) -> str:
    return OPEN if holds is None else PASSED if holds else FAILED


def times(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}x"


def number(value: float | None) -> str:
    """Three digits that count, and no more."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
