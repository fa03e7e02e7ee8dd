"""What every column holds, in two passes over the file and bounded memory, however many rows there are.

The first pass counts and estimates: HyperLogLog for different values, t-digest for quantiles, Filtered Space-Saving for
the frequent values, each of a fixed size for a column (DuckDB's approx_* functions). The second counts the bins of the
histograms, whose bounds are known by then, and the frequent values, exactly.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from helixnet.processors.table.engine import Engine
from helixnet.processors.table.results import Bin, Frequent, Preview, Profile
from helixnet.processors.table.words import MOST_CELLS, cell, preview, quoted, shown

MOST_PROFILED = 200
"""Columns; of further ones name and type are told."""
BINS = 20
MOST_FREQUENT = 10
LONGEST_FREQUENT = 200
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_WHOLE = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_FRACTIONS = ("FLOAT", "DOUBLE")
_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")


@dataclass(frozen=True, slots=True)
class Profiled:
    """The whole file."""

    columns: list[Profile]
    row_count: int
    preview: Preview
    warnings: list[str]


@dataclass(slots=True)
class _Column:
    """A column on its way: what is known of it, and what the second pass is to count."""

    name: str
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    edges: tuple[float, float] | None = None
    frequent: list[str] = field(default_factory=list)

    @property
    def is_number(self) -> bool:
        return self.kind in (*_WHOLE, *_FRACTIONS) or self.kind.startswith("DECIMAL(")

    @property
    def is_time(self) -> bool:
        return self.kind in _TIMES

    @property
    def is_text(self) -> bool:
        return self.kind in ("VARCHAR", "UUID", "BOOLEAN") or self.kind.startswith("ENUM(")

    @property
    def sql(self) -> str:
        return quoted(self.name)

    @property
    def text(self) -> str:
        return f"left(CAST({self.sql} AS VARCHAR), {LONGEST_FREQUENT})"

    @property
    def place(self) -> str:
        """The value as a number, for the histogram: of a time the microseconds since 1970."""
        return (
            f"CAST(epoch_us(CAST({self.sql} AS TIMESTAMP)) AS DOUBLE)"
            if self.is_time
            else f"CAST({self.sql} AS DOUBLE)"
        )

    @property
    def finite(self) -> str:
        has_infinite = self.kind in _FRACTIONS or (self.is_time and self.kind != "TIMESTAMP_NS")
        return f" FILTER (WHERE isfinite({self.sql}))" if has_infinite else ""


def profile(engine: Engine, columns: list[tuple[str, str]], preview_rows: int) -> Profiled:
    """A profile of these columns of `content`."""
    found = [_Column(name, kind) for name, kind in columns]
    profiled = found[:MOST_PROFILED]
    row_count = _first_pass(engine, profiled)
    if row_count:
        _second_pass(engine, profiled)
    warnings = []
    if len(found) > len(profiled):
        warnings.append(f"Of {len(found):,} columns the first {MOST_PROFILED} were profiled.")
    limit = min(preview_rows, MOST_CELLS // max(1, len(found)))
    cells = ", ".join(cell(each.sql, each.kind) for each in found)
    rows = engine.ask(f"SELECT {cells} FROM content LIMIT {limit}")
    return Profiled(
        [Profile(name=each.name, type=each.kind, **({"nulls": 0} | each.facts)) for each in found],
        row_count,
        preview(rows, (each.kind for each in found)),
        warnings,
    )


def _first_pass(engine: Engine, columns: list[_Column]) -> int:
    asked, takers = ["count(*)"], list[Callable[[Any], None]]()
    for column in columns:
        for expression, take in _figures(column):
            asked.append(expression)
            takers.append(take)
    statement = f"SELECT {', '.join(asked)} FROM content"
    ((row_count, *values),) = engine.ask(statement, told=(0.05, 0.5, "Counting and measuring"))
    for take, value in zip(takers, values, strict=True):
        take(value)
    for column in columns:
        column.facts["nulls"] = row_count - column.facts.pop("count")
        if "finite" in column.facts:
            column.facts["not_finite"] = row_count - column.facts["nulls"] - column.facts.pop("finite")
    return int(row_count)


def _figures(column: _Column) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """What the first pass asks of a column, and what becomes of the answer."""
    name, facts = column.sql, column.facts

    def fact(key: str) -> Callable[[Any], None]:
        return lambda value: facts.__setitem__(key, value)

    def told(key: str) -> Callable[[Any], None]:
        return lambda value: facts.__setitem__(key, shown(value, column.kind)[0])

    yield f"count({name})", fact("count")
    yield f"approx_count_distinct({name})", fact("distinct")
    if column.is_number or column.is_time:
        if column.finite:
            yield f"count({name}){column.finite}", fact("finite")
        for key, function in (("min", "min"), ("max", "max")):
            yield cell(f"{function}({name}){column.finite}", column.kind), told(key)
        mean = f"avg({column.place}){column.finite}"
        yield (f"CAST(make_timestamp(CAST({mean} AS BIGINT)) AS VARCHAR)" if column.is_time else mean), told("mean")
        if column.is_number:
            yield f"CASE WHEN count({name}) > 1 THEN sqrt(var_samp({column.place}){column.finite}) END", told("stddev")
        quantiles = f"approx_quantile({name}, {list(QUANTILES)}){column.finite}"
        yield f"list_transform({quantiles}, lambda each: {cell('each', column.kind)})", _quantiles(column)
        yield f"[min({column.place}){column.finite}, max({column.place}){column.finite}]", _edges(column)
    elif column.is_text:
        if column.kind == "VARCHAR":
            yield cell(f"min({name})", column.kind), told("min")
            yield cell(f"max({name})", column.kind), told("max")
            yield f"min(length({name}))", fact("shortest")
            yield f"max(length({name}))", fact("longest")
        yield f"approx_top_k({column.text}, {MOST_FREQUENT})", _frequent(column)


def _quantiles(column: _Column) -> Callable[[Any], None]:
    def take(values: list[Any] | None) -> None:
        if values is not None:
            told = (shown(value, column.kind)[0] for value in values)
            column.facts["quantiles"] = {str(share): value for share, value in zip(QUANTILES, told, strict=True)}

    return take


def _edges(column: _Column) -> Callable[[Any], None]:
    def take(value: list[float | None]) -> None:
        lower, upper = value
        # The width must be a number as well: between the ends of all doubles it is not.
        if lower is not None and upper is not None and upper - lower < float("inf"):
            column.edges = (lower, upper)

    return take


def _frequent(column: _Column) -> Callable[[Any], None]:
    def take(value: list[str] | None) -> None:
        column.frequent = list(value or [])

    return take


def _second_pass(engine: Engine, columns: list[_Column]) -> None:
    asked, values, counted = list[str](), list[Any](), list[_Column]()
    for column in columns:
        # (DuckDB 2.0 makes joins over a copy of the whole table of several `histogram(value)`; these stay in one pass.)
        if column.edges is not None:
            values.append(_bounds(*column.edges)[1:])
            asked.append(f"histogram({column.place}, CAST(${len(values)} AS DOUBLE[])){column.finite}")
        elif column.frequent:
            values.append(column.frequent)
            asked.append(f"histogram_exact({column.text}, CAST(${len(values)} AS VARCHAR[]))")
        else:
            continue
        counted.append(column)
    if not asked:
        return
    statement = f"SELECT {', '.join(asked)} FROM content"
    (answers,) = engine.ask(statement, values, told=(0.5, 0.9, "Counting values"))
    for column, counts in zip(counted, answers, strict=True):
        if column.edges is not None:
            column.facts["histogram"] = _bins(engine, column, column.edges, counts or {})
        else:
            found = {value: (counts or {}).get(value, 0) for value in column.frequent}
            by_count = sorted(found.items(), key=lambda item: (-item[1], item[0]))
            column.facts["frequent"] = [Frequent(value=value, count=count) for value, count in by_count]


def _bounds(lower: float, upper: float) -> list[float]:
    """The ends of the bins, of which there is one where all values are the same."""
    inner = (lower + (upper - lower) / BINS * number for number in range(1, BINS))
    return [lower, *sorted({each for each in inner if lower < each < upper}), upper]


def _bins(engine: Engine, column: _Column, edges: tuple[float, float], counts: dict[float, int]) -> list[Bin]:
    ends = _bounds(*edges)
    shown_ends: list[Any] = list(ends)
    if column.is_time:
        asked = "SELECT CAST(make_timestamp(CAST(unnest($1) AS BIGINT)) AS VARCHAR)"
        shown_ends = [text for (text,) in engine.ask(asked, [[round(end) for end in ends]])]
    return [
        Bin(lower=lower, upper=upper, count=counts.get(end, 0))
        for (lower, upper), end in zip(pairwise(shown_ends), ends[1:], strict=True)
    ]
