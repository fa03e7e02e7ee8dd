"""CSV as rows: a mapping for each, under the names of the first line."""

import csv
import io
import re
from dataclasses import dataclass
from typing import Any

from helixnet.processors.base import OverLimit, Reject

MOST_CELLS = 2_000_000
MOST_COLUMNS = 1000
LONGEST_CELL = 1024 * 1024
DELIMITERS = (",", ";", "\t", "|")
SAMPLE_CHARACTERS = 64 * 1024
SAMPLE_LINES = 50

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_POINT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,2})?")
_COMMA = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:,[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a CSV in order, and its columns; `short` of the rows were filled up with nothing."""

    rows: list[dict[str, Any]]
    columns: list[str]
    short: int


def read_csv(text: str, what: str) -> Rows:
    """The rows of a CSV (RFC 4180; parted by comma, semicolon, tab or bar, whichever fits).

    A column is numeric if each of its cells is empty or a number without leading zeros; everything else stays text.
    With semicolons a decimal comma is understood. Raises Reject with the line for what is not well-formed, and
    OverLimit for over two million cells.
    """
    delimiter = sniff(text) or ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    csv.field_size_limit(LONGEST_CELL)
    cells: list[list[str]] = []
    columns: list[str] = []
    short = count = 0
    try:
        for line in reader:
            if not line:
                continue
            if not columns:
                columns = _columns(line, what)
                continue
            if len(line) > len(columns):
                raise Reject(
                    f"Line {reader.line_num} of the {what} has {len(line)} values, and the first line names "
                    f"{len(columns)} columns.",
                    line=reader.line_num,
                )
            short += len(line) < len(columns)
            count += len(columns)
            if count > MOST_CELLS:
                raise OverLimit(f"The {what} has over {MOST_CELLS:,} cells, more than fit into a report.")
            cells.append(line + [""] * (len(columns) - len(line)))
    except csv.Error as error:
        raise Reject(
            f"The {what} is no CSV that can be read, in line {reader.line_num}: {error}.", line=reader.line_num
        ) from error
    typed = [_typed([row[at] for row in cells], delimiter) for at in range(len(columns))]
    return Rows([dict(zip(columns, row, strict=True)) for row in zip(*typed, strict=True)], columns, short)


def sniff(text: str) -> str | None:
    """What parts the columns: the delimiter by which the first lines have the most columns, and all of them as many;
    None where no delimiter makes two."""
    sample = text[:SAMPLE_CHARACTERS]
    best, most = None, 1
    for delimiter in DELIMITERS:
        try:
            lines = [line for line in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if line]
        except csv.Error:
            continue
        if len(lines) > 2 and len(text) > len(sample):
            lines.pop()  # it may be cut off
        widths = [len(line) for line in lines[:SAMPLE_LINES]]
        # A single line may lack its last values; none has more than the names.
        if widths and widths[0] > most and max(widths) == widths[0] and widths.count(widths[0]) * 2 > len(widths):
            best, most = delimiter, widths[0]
    return best


def _columns(line: list[str], what: str) -> list[str]:
    columns = [name.strip() or f"column {number}" for number, name in enumerate(line, start=1)]
    if len(columns) > MOST_COLUMNS:
        raise OverLimit(f"The {what} has over {MOST_COLUMNS:,} columns, more than fit into a report.")
    for name in columns:
        if columns.count(name) > 1:
            raise Reject(f"The {what} has two columns called {name!r}.", line=1)
    return columns


def _typed(cells: list[str], delimiter: str) -> list[Any]:
    filled = [cell.strip() for cell in cells if cell.strip()]
    number = _COMMA if delimiter == ";" and any("," in cell for cell in filled) else _POINT
    if not filled or not all(number.fullmatch(cell) for cell in filled):
        return list(cells)
    kind = int if all(_WHOLE.fullmatch(cell) for cell in filled) else float
    return [kind(cell.strip().replace(",", ".")) if cell.strip() else None for cell in cells]
