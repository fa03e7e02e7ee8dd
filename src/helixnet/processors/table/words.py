"""SQL's words for names and texts, and JSON's for the values of a table."""

import json
import math
from collections.abc import Iterable
from typing import Any

from helixnet.processors.table.results import Preview

Rows = list[tuple[Any, ...]]

LONGEST_CELL = 1000
MOST_DIGITS = 20
MOST_CELLS = 20_000
"""Of a preview, in all: of a wide table fewer rows are shown."""
_PLAIN = frozenset(
    {
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "FLOAT",
        "DOUBLE",
    }
)
_WIDE = ("HUGEINT", "UHUGEINT")
_NESTED = ("STRUCT(", "MAP(", "UNION(", "TUPLE(", "JSON", "VARIANT")


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def is_nested(kind: str) -> bool:
    """Whether values of this type have parts."""
    return kind.startswith(_NESTED) or kind.endswith("]")


def cell(value: str, kind: str) -> str:
    """The SQL of a value that `shown` makes JSON of: numbers as they are, all else as text of a bounded length."""
    if kind in _PLAIN:
        return value
    text = f"CAST(to_json({value}) AS VARCHAR)" if is_nested(kind) else f"CAST({value} AS VARCHAR)"
    return f"left({text}, {LONGEST_CELL + 1})"


def shown(value: Any, kind: str) -> tuple[Any, bool]:
    """What `cell` answered, as JSON, and whether it was cut."""
    if isinstance(value, float) and not math.isfinite(value):
        return ("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"), False
    if not isinstance(value, str):
        return value, False
    if kind in _WIDE:
        return _whole(value), False
    if len(value) > LONGEST_CELL:
        return value[:LONGEST_CELL] + "…", True
    if is_nested(kind):
        try:
            # As text: numbers that JSON doesn't have, or that other readers of it could not hold.
            return json.loads(value, parse_constant=str, parse_int=_whole), False
        except (ValueError, RecursionError):
            return value, False
    return value, False


def preview(rows: Rows, kinds: Iterable[str]) -> Preview:
    """Rows of cells as JSON."""
    kinds, cut = list(kinds), 0
    told: list[list[Any]] = []
    for row in rows:
        cells = [shown(value, kind) for value, kind in zip(row, kinds, strict=True)]
        cut += sum(is_cut for _, is_cut in cells)
        told.append([value for value, _ in cells])
    return Preview(rows=told, cut=cut)


def _whole(digits: str) -> int | str:
    """A whole number, as text where the JSON of most programs ends: at 64 bits."""
    return number if len(digits) <= MOST_DIGITS and -(2**63) <= (number := int(digits)) < 2**63 else digits
