"""Tables in the content, and what their numbers add up to."""

import math
from collections.abc import Iterator
from typing import Any

from helixnet.processors.document.results import Finding

MOST_TABLES, MOST_COLUMNS, MOST_FINDINGS = 20, 100, 50
SIGNIFICANT_DIGITS = 15
"""Of a float's 17, those that are no matter of rounding."""

Row = dict[str, Any]


def tables(content: Any) -> Iterator[tuple[str, list[Row]]]:
    """(name, rows) of each list of mappings: the content itself, or an entry of it; at most twenty."""
    if _is_table(content):
        yield "content", content
    elif isinstance(content, dict):
        found = (name for name, value in content.items() if _is_table(value))
        for _, name in zip(range(MOST_TABLES), found, strict=False):
            yield name, content[name]


def columns(rows: list[Row]) -> list[str]:
    """The names of all rows, in order of appearance; at most a hundred."""
    names: dict[str, None] = {}
    for row in rows:
        if len(names) < MOST_COLUMNS:
            names.update(dict.fromkeys(row))
    return list(names)[:MOST_COLUMNS]


def find(content: Any) -> list[Finding]:
    """Sum, mean and bounds of each numeric column, those of numbers that only name things (`id`, `year`) left out."""
    found: list[Finding] = []
    for table, rows in tables(content):
        for column in columns(rows):
            numbers = [] if _names_things(column) else _numbers(rows, column)
            if numbers and len(found) < MOST_FINDINGS:
                total = sum(numbers) if all(isinstance(number, int) for number in numbers) else math.fsum(numbers)
                found.append(
                    Finding(
                        table=table,
                        column=column,
                        count=len(numbers),
                        total=_round(total),
                        mean=_round(total / len(numbers)),
                        smallest=_round(min(numbers)),
                        largest=_round(max(numbers)),
                    )
                )
    return found


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _names_things(column: str) -> bool:
    return column.lower() in ("id", "year") or column.lower().endswith(("_id", " id"))


def _numbers(rows: list[Row], column: str) -> list[float]:
    """The column's numbers, if it holds nothing else but nulls."""
    values = [value for row in rows if (value := row.get(column)) is not None]
    plain = all(type(value) in (int, float) and abs(value) < 1e300 for value in values)
    return values if plain else []


def _round(number: float) -> float:
    return float(f"{number:.{SIGNIFICANT_DIGITS}g}")
