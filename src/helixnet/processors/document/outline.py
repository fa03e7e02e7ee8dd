"""What the default report shows, made of any content: values as a list, lists of mappings as tables, text as it is."""

from dataclasses import dataclass, field
from typing import Any

from helixnet.processors.document.findings import columns, tables

MOST_ROWS = 200
MOST_COLUMNS = 12
MOST_ENTRIES = 200
LONGEST_TEXT = 100_000


@dataclass(slots=True)
class Section:
    """A part of the report: a table, or lines of a list, or a text; `left_out` says in words what is not shown."""

    heading: str
    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    text: str = ""
    left_out: str = ""


def sections(content: Any) -> list[Section]:
    """The content in sections."""
    if isinstance(content, str):
        left_out = f"{len(content) - LONGEST_TEXT:,} further characters" if len(content) > LONGEST_TEXT else ""
        return [Section("Text", text=content[:LONGEST_TEXT], left_out=left_out)]
    shown = {name: _table("Content" if name == "content" else name, rows) for name, rows in tables(content)}
    if "content" in shown and not isinstance(content, dict):
        return [shown["content"]]
    if not isinstance(content, dict):
        return [_list("Content", content if isinstance(content, list) else [content])]
    plain = {name: value for name, value in content.items() if name not in shown}
    lists = {name: plain.pop(name) for name, value in content.items() if isinstance(value, list) and name in plain}
    values = [_values("Values", plain)] if plain else []
    return [*values, *shown.values(), *(_list(name, each) for name, each in lists.items())]


def flat(values: dict[str, Any], before: str = "") -> list[dict[str, Any]]:
    """The values with the path that leads to each (`address.city`), as rows of a table."""
    rows: list[dict[str, Any]] = []
    waiting = [(before + name, value) for name, value in reversed(values.items())]
    while waiting and len(rows) <= MOST_ENTRIES:
        path, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{path}.{name}", each) for name, each in reversed(value.items())]
        else:
            rows.append({"name": path, "value": value})
    return rows


def _table(heading: str, rows: list[dict[str, Any]]) -> Section:
    names = columns(rows)
    left_out = []
    if len(rows) > MOST_ROWS:
        left_out.append(f"{len(rows) - MOST_ROWS:,} further rows")
    if len(names) > MOST_COLUMNS:
        left_out.append(f"{len(names) - MOST_COLUMNS:,} further columns")
    return Section(heading, columns=names[:MOST_COLUMNS], rows=rows[:MOST_ROWS], left_out=" and ".join(left_out))


def _values(heading: str, values: dict[str, Any]) -> Section:
    rows = flat(values)
    left_out = "further values" if len(rows) > MOST_ENTRIES else ""
    return Section(heading, columns=["name", "value"], rows=rows[:MOST_ENTRIES], left_out=left_out)


def _list(heading: str, entries: list[Any]) -> Section:
    left_out = f"{len(entries) - MOST_ENTRIES:,} further entries" if len(entries) > MOST_ENTRIES else ""
    return Section(heading, entries=entries[:MOST_ENTRIES], left_out=left_out)
