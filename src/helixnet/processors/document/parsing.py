"""From a file to a value: JSON, YAML, CSV or text, told by its name and by what it looks like."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from helixnet.processors.base import OverLimit, Reject
from helixnet.processors.document.results import ContentFormat
from helixnet.processors.document.rows import read_csv, sniff
from helixnet.processors.document.yaml_values import load_yaml
from helixnet.processors.text.decoding import decode

DEEPEST = 60
"""Lists and mappings inside of each other."""

_BY_SUFFIX: dict[str, ContentFormat] = {
    "json": "json",
    "yaml": "yaml",
    "yml": "yaml",
    "csv": "csv",
    "tsv": "csv",
    "txt": "text",
    "text": "text",
    "md": "text",
    "log": "text",
}
_JSON_START = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]\-0-9tfn])")
_YAML_START = re.compile(r"(?:\s*(?:#.*)?\r?\n)*(?:---\s|[A-Za-z_][\w .-]{0,100}:(?:\s|$)|- \S)")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's value; `columns` are those of a CSV."""

    format: ContentFormat
    value: Any
    encoding: str
    columns: list[str] | None = None
    warnings: list[str] = field(default_factory=list)


def parse(
    raw: bytes, filename: str, what: str, wanted: Literal["auto", "json", "yaml", "csv", "text"] = "auto"
) -> Parsed:
    """The value of a file. `what` names the file in the words of an error.

    Raises Reject, with line and column, for what is not of its kind, and OverLimit for what is too large or too deep.
    """
    decoded = decode(raw, what)
    text = decoded.text.removeprefix("\ufeff")
    found = _by_name(filename) if wanted == "auto" else wanted
    if found is None:
        return _by_look(text, what, decoded.encoding)
    return _parsed(found, text, what, decoded.encoding)


def _by_name(filename: str) -> ContentFormat | None:
    return _BY_SUFFIX.get(filename.rpartition(".")[2].lower()) if "." in filename else None


def _by_look(text: str, what: str, encoding: str) -> Parsed:
    if _JSON_START.match(text):
        return _parsed("json", text, what, encoding)
    if _YAML_START.match(text):
        try:
            parsed = _parsed("yaml", text, what, encoding)
        except OverLimit:
            raise
        except Reject:
            parsed = None  # prose may begin like YAML
        if parsed is not None and isinstance(parsed.value, dict | list):
            return parsed
    return _parsed("csv" if "\n" in text.strip() and sniff(text) else "text", text, what, encoding)


def _parsed(found: ContentFormat, text: str, what: str, encoding: str) -> Parsed:
    match found:
        case "json":
            return Parsed(found, _json(text, what), encoding)
        case "yaml":
            return Parsed(found, load_yaml(text, what), encoding)
        case "csv":
            table = read_csv(text, what)
            warnings = []
            if table.short:
                warnings.append(f"{table.short:,} rows of the {what} have fewer values than the first line has names.")
            return Parsed(found, table.rows, encoding, table.columns, warnings)
        case "text":
            return Parsed(found, text, encoding)


def _json(text: str, what: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg.lower():
            raise _too_deep(what) from error
        problem = error.msg.partition(": line ")[0]
        raise Reject(
            f"The {what} is no JSON, in line {error.lineno}, column {error.colno}: {problem}.",
            line=error.lineno,
            column=error.colno,
        ) from error
    level = [value] if isinstance(value, list | dict) else []
    depth = 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep(what)
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, list | dict)
        ]
    return value


def _too_deep(what: str) -> OverLimit:
    return OverLimit(f"The {what} is nested deeper than {DEEPEST} levels.")
