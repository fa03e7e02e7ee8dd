"""A query's rows: written to a file as they come, counted, and the first of them shown."""

from dataclasses import replace
from pathlib import Path

from helixnet.processors.table.engine import Engine
from helixnet.processors.table.results import Column, Preview
from helixnet.processors.table.statement import Sql
from helixnet.processors.table.words import MOST_CELLS, cell, literal, preview, quoted

MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
}
# What Parquet has no type for, or keeps less exactly; sums of whole numbers are HUGEINT.
_STORED_AS = {
    "HUGEINT": "DECIMAL(38, 0)",
    "UHUGEINT": "VARCHAR",
    "BIGNUM": "VARCHAR",
    "BIT": "VARCHAR",
    "INTERVAL": "VARCHAR",
    "TIME WITH TIME ZONE": "VARCHAR",
    '"NULL"': "VARCHAR",
}
_STORED_AS_JSON = ("UNION(", "TUPLE", "VARIANT")


def columns_of(engine: Engine, sql: Sql) -> list[Column]:
    """The columns that the query answers, each name once; no row is read. Raises Reject with what is wrong with it."""
    prefix = "DESCRIBE "
    failing = replace(engine.failing, sql=sql, prefix=len(prefix))
    described = engine.ask(prefix + sql.text, failing=failing)
    names, columns = set[str](), list[Column]()
    for name, kind, *_ in described:
        unique, number = name, 1
        while unique.lower() in names:
            unique, number = f"{name}_{number}", number + 1
        names.add(unique.lower())
        columns.append(Column(name=unique, type=kind))
    return columns


def write(engine: Engine, sql: Sql, columns: list[Column]) -> tuple[Path, int]:
    """The query's rows as Parquet, and how many there are. Raises Reject and OverLimit."""
    path = engine.result("parquet")
    listed = ", ".join(f"{_stored(number, each)} AS {quoted(each.name)}" for number, each in enumerate(columns, 1))
    prefix = f"COPY (SELECT {listed} FROM ("
    statement = f"{prefix}{sql.text}\n)) TO {literal(str(path))} (FORMAT parquet)"
    failing = replace(engine.failing, sql=sql, prefix=len(prefix.encode()))
    ((count,),) = engine.ask(statement, failing=failing, told=(0.1, 0.8, "Running the query"))
    return path, int(count)


def first_rows(engine: Engine, written: Path, columns: list[Column], limit: int) -> Preview:
    """The first rows of the result."""
    cells = [cell(quoted(each.name), each.type) for each in columns]
    limit = min(limit, MOST_CELLS // max(1, len(cells)))
    rows = engine.ask(f"SELECT {', '.join(cells)} FROM read_parquet({literal(str(written))}) LIMIT {limit}")
    return preview(rows, (each.type for each in columns))


def converted(engine: Engine, written: Path, output: str) -> Path:
    """The result in the format asked for, out of the Parquet file, which holds the types exactly."""
    if output == "parquet":
        return written
    path = engine.result(output)
    how = "FORMAT csv, HEADER" if output == "csv" else "FORMAT json"
    source = f"SELECT * FROM read_parquet({literal(str(written))})"
    engine.ask(f"COPY ({source}) TO {literal(str(path))} ({how})", told=(0.8, 0.9, f"Writing {output}"))
    written.unlink()
    return path


def _stored(number: int, column: Column) -> str:
    """A column of the query, by its place, as Parquet can hold it."""
    if (kind := _STORED_AS.get(column.type)) is not None:
        return f"CAST(#{number} AS {kind})"
    if column.type.startswith(_STORED_AS_JSON):
        return f"to_json(#{number})"
    return f"#{number}"
