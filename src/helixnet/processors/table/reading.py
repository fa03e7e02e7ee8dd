"""The table `content`: a view over the file, with everything that its reader has to know spelled out."""

import json
from dataclasses import dataclass

from helixnet.processors.base import Reject
from helixnet.processors.table.engine import Engine
from helixnet.processors.table.results import QueryParams
from helixnet.processors.table.sources import Recognised
from helixnet.processors.table.words import literal, quoted

MOST_COLUMNS = 2000
LONGEST_LINE = 1024 * 1024
LARGEST_OBJECT = 64 * 1024 * 1024
MOST_REJECTS = 10_000
NOTHING = "(empty)"


@dataclass(frozen=True, slots=True)
class Content:
    """The columns of `content`, by name and type, and what was found out about a CSV."""

    columns: list[tuple[str, str]]
    delimiter: str | None = None
    header: bool | None = None


def bind(engine: Engine, source: Recognised, params: QueryParams) -> Content:
    """Make the view `content`. Raises Reject when the file can't be read as what it seems to be."""
    delimiter = header = None
    if source.format == "parquet":
        rows = f"SELECT * FROM read_parquet({literal(str(engine.content))})"
    elif source.format in ("json", "ndjson"):
        rows = _json(engine, source, params)
    else:
        rows, delimiter, header = _csv(engine, source, params)
    engine.ask(f"CREATE VIEW content AS {rows}")
    columns = [(name, kind) for name, kind, *_ in engine.ask("DESCRIBE content")]
    if len(columns) > MOST_COLUMNS:
        raise Reject(f"The file has {len(columns):,} columns; at most {MOST_COLUMNS:,} can be read.")
    return Content(columns, delimiter, header)


def _csv(engine: Engine, source: Recognised, params: QueryParams) -> tuple[str, str, bool]:
    """The rows of a CSV, its delimiter, and whether it has a header. The reader looks at the beginning once, here."""
    given = {
        "compression": literal(source.compression),
        "encoding": literal(source.encoding),
        "decimal_separator": literal(params.decimal_separator),
        "all_varchar": str(params.all_text),
        "max_line_size": str(LONGEST_LINE),
        "nullstr": _list(["", *params.null_values]),
    }
    if params.ignore_errors:
        given |= {"store_rejects": "true", "rejects_limit": str(MOST_REJECTS)}
    asked = given | {"sample_size": str(params.sample_rows or 1)}
    delimiter = params.delimiter or ("\t" if source.format == "tsv" else None)
    if delimiter is not None:
        asked["delim"] = literal(delimiter)
    if params.quote is not None:
        asked["quote"] = literal(params.quote)
    if params.header is not None:
        asked["header"] = str(params.header)
    path = literal(str(engine.content))
    (found,) = engine.ask(
        "SELECT Delimiter, Quote, Escape, Comment, SkipRows, HasHeader, DateFormat, TimestampFormat, to_json(Columns) "
        f"FROM sniff_csv({path}, {_options(asked)})"
    )
    delimiter, quote, escape, comment, skip, header, dates, times, columns = found
    if len(described := json.loads(columns)) > MOST_COLUMNS:
        raise Reject(f"The file has {len(described):,} columns; at most {MOST_COLUMNS:,} can be read.")
    types = ", ".join(f"{literal(each['name'])}: {literal(each['type'])}" for each in described)
    # Where the sample had nothing quoted, the rest may.
    quote = '"' if quote == NOTHING else quote
    told = given | {
        "auto_detect": "false",
        "delim": literal(delimiter),
        "quote": literal(quote),
        "escape": literal(quote if escape == NOTHING else escape),
        "comment": literal("" if comment == NOTHING else comment),
        "skip": str(skip),
        "header": str(header),
        "columns": f"{{{types}}}",
    }
    del told["all_varchar"]
    if dates:
        told["dateformat"] = literal(dates)
    if times:
        told["timestampformat"] = literal(times)
    return f"SELECT * FROM read_csv({path}, {_options(told)})", delimiter, header


def _json(engine: Engine, source: Recognised, params: QueryParams) -> str:
    """The rows of JSON: objects of an array or of lines; else the arrays of one object, side by side."""
    kind = "newline_delimited" if source.format == "ndjson" else "unstructured" if source.is_object else "array"
    given = {
        "format": literal(kind),
        "compression": literal(source.compression),
        "sample_size": str(params.sample_rows or 1),
    }
    if source.is_object:
        given["maximum_object_size"] = str(LARGEST_OBJECT)
    reader = f"read_json({literal(str(engine.content))}, {_options(given)})"
    if not source.is_object or len(engine.ask(f"SELECT 1 FROM {reader} LIMIT 2")) != 1:
        return f"SELECT * FROM {reader}"
    columns = [(name, kind) for name, kind, *_ in engine.ask(f"DESCRIBE SELECT * FROM {reader}")]
    lists = [(name, kind) for name, kind in columns if kind.endswith("[]")]
    tables = [name for name, kind in lists if kind.startswith("STRUCT(")]
    if len(tables) == 1:
        return f"SELECT unnest({quoted(tables[0])}, max_depth := 2) FROM {reader}"
    if columns and lists == columns:
        return f"SELECT {', '.join(f'unnest({quoted(name)}) AS {quoted(name)}' for name, _ in columns)} FROM {reader}"
    return f"SELECT * FROM {reader}"


def left_out(engine: Engine) -> list[str]:
    """What to tell of the lines that could not be read and were left out."""
    counted = engine.ask(
        "SELECT count(DISTINCT line), min(line) FROM reject_errors GROUP BY scan_id, file_id ORDER BY 1 DESC LIMIT 1"
    )
    if not counted or not counted[0][0]:
        return []
    count, first = counted[0]
    many = f"At least {count:,}" if count >= MOST_REJECTS else f"{count:,}"
    return [f"{many} line(s) could not be read and were left out; the first is line {first:,}."]


def _options(values: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _list(values: list[str]) -> str:
    return f"[{', '.join(map(literal, values))}]"
