"""DuckDB's errors in the user's words: whose fault it is, in one sentence or two, and where."""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helixnet.processors.base import OverLimit, Reject
from helixnet.processors.table.statement import Sql

if TYPE_CHECKING:
    from duckdb import Error

LONGEST_MESSAGE = 600
SPILL_FULL = (
    "The work needs more room on disk than it may use. Ask for less at once: filter, aggregate, or sort fewer columns."
)
MEMORY_FULL = (
    "The work needs more memory than it may use. Ask for less at once: filter, aggregate, or read fewer columns."
)
FILE_FULL = "The result is larger than it may be. Filter or aggregate, or add a LIMIT."
DISK_FULL = "The worker's disk is full, so the work could not go on."
_CSV_LINE = re.compile(r"CSV Error on Line: (\d+)\n(?:Original Line: .*?\n)?(.*?)(?:\n|$)", re.DOTALL)
_JSON_LINE = re.compile(r"Malformed JSON in file .*?, at byte (\d+) in (line|record/value) (\d+): (.*)")
_HOW_TO_READ_ON = (
    "If the file is as it should be, tell how to read it (delimiter, quote, encoding, null_values, all_text, or a "
    "larger sample_rows), or leave such lines out with ignore_errors."
)
# What DuckDB says to programs; its users here have parameters instead.
_ADVICE = re.compile(
    r"\n+(?:Possible (?:solution|fix)|The search space used was|  file = |Column .* is being converted as|"
    r"This type was |LINE \d+:).*",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Failing:
    """What was going on: the file as it is named on the disk and by the user, and the SQL with the length in bytes of
    what stood before it, if it was at work."""

    path: str
    filename: str
    sql: Sql | None = None
    prefix: int = 0


def problem(error: "Error", failing: Failing) -> Exception:
    """What to raise for an error of DuckDB; the error itself where it is nobody's fault but the program's."""
    import duckdb

    told = _told(error)
    message = str(told.get("exception_message", error)).replace(failing.path, failing.filename)
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return error
    if isinstance(error, duckdb.OutOfMemoryException):
        return OverLimit(SPILL_FULL if "temp_directory" in message or "temp directory" in message else MEMORY_FULL)
    if isinstance(error, duckdb.PermissionException):
        return Reject(
            "The query reaches for a file or for the network. It may read the table `content`, and nothing else."
        )
    if isinstance(error, duckdb.IOException):
        if "File too large" in message:
            return OverLimit(SPILL_FULL if "duckdb_temp" in message else FILE_FULL)
        if "No space left" in message or "Disk quota" in message:
            return OverLimit(DISK_FULL)
    return _in_csv(message, failing) or _in_json(message, failing) or _in_sql(message, told, failing)


def _told(error: "Error") -> dict[str, Any]:
    """The fields that DuckDB tells with `errors_as_json`."""
    _, brace, rest = str(error).partition("{")
    try:
        told = json.loads(brace + rest)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _in_csv(message: str, failing: Failing) -> Reject | None:
    found = _CSV_LINE.search(message)
    if found is None:
        return None
    line, what = int(found[1]), _short(found[2]).rstrip(".")
    if "not utf-8" in message:
        what = "it is not encoded as it begins; tell the encoding"
    return Reject(f"Line {line} of {failing.filename} can't be read: {what}. {_HOW_TO_READ_ON}", line=line)


def _in_json(message: str, failing: Failing) -> Reject | None:
    found = _JSON_LINE.search(message)
    if found is None:
        return None
    where, number, what = found[2], int(found[3]), _short(found[4]).strip().rstrip(".")
    if where == "line":
        # DuckDB 2.0 counts one line too many where the file ends its lines as usual.
        return Reject(f"A line near {number} of {failing.filename} is not JSON: {what}.")
    return Reject(f"Value {number} of {failing.filename} is not JSON: {what}.", value=number)


def _in_sql(message: str, told: dict[str, Any], failing: Failing) -> Reject:
    what = _short(message).rstrip(".")
    if failing.sql is None:
        return Reject(f"{failing.filename} can't be read: {what}.")
    try:
        place = failing.sql.place(int(told["position"]) - failing.prefix)
    except (KeyError, ValueError):
        place = {}
    where = f"Line {place['line']}, column {place['column']}: " if place else ""
    return Reject(f"The query failed. {where}{what}.", **place)


def _short(message: str) -> str:
    """What went wrong, without DuckDB's advice to programs."""
    words = " ".join(_ADVICE.sub("", message).split())
    return words if len(words) <= LONGEST_MESSAGE else words[:LONGEST_MESSAGE] + "…"
