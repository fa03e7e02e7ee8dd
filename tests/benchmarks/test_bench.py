"""`make bench` in its tiny form: the whole program on real servers, and what it makes of its figures."""

import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.figures import LESS, MORE, Ratio, Section, percentile
from benchmarks.picture import draw

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "race",
    "bytes",
    "latency_valkey",
    "submission",
    "submission_latency",
    "upload",
    "upload_memory",
    "list",
    "claim",
    "cost",
    "isolation",
    "start",
    "table",
    "table_memory",
}
SERIES = {"key", "title", "unit", "values", "note", "median", "low", "high"}
RATIO = {"of", "to", "text", "better", "limit", "value", "holds"}
TARGETS = {
    ("race", "celery_rows_valkey"): 10,
    ("race", "celery_bare_valkey"): 4,
    ("latency_valkey", "floor_p50"): 2.5,
    ("submission", "floor"): 0.6,
    ("list", "first_few"): 1.5,
    ("claim", "claim_1_few"): 1.5,
    ("isolation", "allowed"): 1,
}


def _section(*, better: str = MORE, limit: float | None = None) -> Section:
    section = Section("race", "The race", "Who is faster.", better=better)
    section.add("floor", "The floor", "jobs/s").values += [90.0, 110.0, 100.0]
    section.add("helixnet", "HelixNet <&>", "jobs/s").values += [1000.0, 5000.0, 1100.0]
    section.ratios.append(Ratio("helixnet", "floor", "to its floor", better, limit))
    return section


def test_the_tiny_run_measures_every_part_and_writes_the_report_in_three_forms(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.bench", "--smoke", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "latest.json").read_text())
    assert data.keys() == {"machine", "runs", "passed", "sections"}
    sections = {section["key"]: section for section in data["sections"]}
    assert sections.keys() == SECTIONS, done.stderr
    for section in sections.values():
        assert section["series"], section["key"]
        for series in section["series"]:
            assert series.keys() == SERIES
            assert len(series["values"]) == 1, f"{section['key']}: {series}, {section['notes']}"
        for ratio in section["ratios"]:
            assert ratio.keys() == RATIO
    limits = {
        (key, ratio["to"]): ratio["limit"]
        for key, section in sections.items()
        for ratio in section["ratios"]
        if ratio["limit"] is not None
    }
    assert TARGETS.items() <= limits.items()
    text = (tmp_path / "latest.txt").read_text()
    assert all(section["title"] in text for section in sections.values())
    assert ET.parse(tmp_path / "latest.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_a_ratio_is_that_of_the_medians_so_one_lucky_run_counts_for_nothing() -> None:
    section = _section()
    assert section.value(section.ratios[0]) == 11


@pytest.mark.parametrize(
    ("better", "limit", "holds"),
    [(MORE, 10.0, True), (MORE, 12.0, False), (LESS, 12.0, True), (LESS, 10.0, False), (MORE, None, None)],
)
def test_a_target_is_met_from_its_good_side_only(better: str, limit: float | None, holds: bool | None) -> None:
    section = _section(better=better, limit=limit)
    assert section.holds(section.ratios[0]) is holds


def test_a_target_that_was_not_measured_does_not_pass() -> None:
    section = _section(limit=10)
    assert report.passed([section])
    section.get("floor").values.clear()
    section.get("floor").note = "not measured: no RabbitMQ"
    assert not report.passed([section])


def test_a_part_that_broke_off_does_not_pass() -> None:
    assert not report.passed([_section(limit=10), Section("claim", "Claims", "Broke off.", failed=True)])


def test_what_was_not_measured_is_named_in_the_text_with_its_reason() -> None:
    section = _section(limit=10)
    section.add("prefect", "Prefect", "jobs/s", "not installed")
    console = Console(width=120, file=io.StringIO(), record=True)
    report.show(console, [section], {"cores": "2"}, 3)
    assert "Prefect: not installed" in console.export_text()


def test_the_picture_has_a_bar_for_each_contestant_that_was_measured() -> None:
    section = _section()
    section.add("prefect", "Prefect", "jobs/s", "not installed")
    tree = ET.fromstring(draw([section], {"cores": "2"}))
    bars = [element for element in tree.iter() if element.get("class", "").split(" ")[0] == "bar"]
    assert len(bars) == 2
    assert any("HelixNet <&>" in (element.text or "") for element in tree.iter())


def test_the_95th_percentile_leaves_five_in_a_hundred_above() -> None:
    values = [float(value) for value in range(101)]
    assert percentile(values, 95) == 95
    assert percentile([7.0], 99) == 7
