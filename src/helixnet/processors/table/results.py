"""The parameters and the result of `table.query`, as they stand in the job and in result.json."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Format = Literal["csv", "tsv", "parquet", "json", "ndjson"]

LONGEST_SECONDS = 1500
OneCharacter = Annotated[str, Field(min_length=1, max_length=1)]


class QueryParams(BaseModel):
    """How the file is read, and what comes out."""

    model_config = ConfigDict(extra="forbid")

    output: Annotated[
        Literal["parquet", "csv", "ndjson"], Field(description="The format of the artifact with the rows of the query.")
    ] = "parquet"
    preview_rows: Annotated[int, Field(ge=0, le=1000, description="Rows in the result itself, at most.")] = 20
    max_seconds: Annotated[
        int, Field(ge=1, le=LONGEST_SECONDS, description="How long the work may take, in seconds.")
    ] = LONGEST_SECONDS
    format: Annotated[
        Format | None, Field(description="What the file is; without it, its content and its name tell.")
    ] = None
    delimiter: Annotated[OneCharacter | None, Field(description="CSV: what parts the columns; else it is found.")] = (
        None
    )
    quote: Annotated[OneCharacter | None, Field(description="CSV: what quotes a value; else it is found.")] = None
    header: Annotated[
        bool | None, Field(description="CSV: whether the first line holds the names of the columns; else it is found.")
    ] = None
    encoding: Annotated[
        Literal["utf-8", "utf-16", "latin-1"] | None,
        Field(description="CSV: how the text is encoded; else it is found."),
    ] = None
    decimal_separator: Annotated[
        Literal[".", ","], Field(description="CSV: what numbers have before their fraction.")
    ] = "."
    null_values: Annotated[
        list[Annotated[str, Field(max_length=100)]],
        Field(max_length=20, description="CSV: the texts that mean no value, beside the empty one."),
    ] = []
    sample_rows: Annotated[
        int,
        Field(
            ge=-1, le=100_000_000, description="CSV and JSON: rows that types are told from; -1 reads them all first."
        ),
    ] = 20_480
    all_text: Annotated[bool, Field(description="CSV: read every column as text.")] = False
    ignore_errors: Annotated[
        bool, Field(description="CSV: leave out lines that can't be read, and count them, instead of failing.")
    ] = False


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class Source(_Result):
    """What the file turned out to be."""

    format: Format
    compression: Literal["none", "gzip", "zstd"]
    encoding: Annotated[str | None, Field(description="Of CSV: utf-8, utf-16 or latin-1.")] = None
    delimiter: str | None = None
    header: bool | None = None
    size: Annotated[int, Field(description="The size of the file as it is stored, in bytes.")]


class Column(_Result):
    name: str
    type: Annotated[str, Field(description="The type in DuckDB's words.")]


class Preview(_Result):
    """The first rows. Values are JSON; decimals, dates and what else JSON has no word for are text."""

    rows: list[list[Any]]
    cut: Annotated[int, Field(description="Values that were longer than the preview shows.")]


class Artifact(_Result):
    name: str
    key: str
    size: Annotated[int, Field(description="In bytes.")]


class QueryResult(_Result):
    """What a query answers."""

    kind: Literal["query"] = "query"
    source: Source
    columns: list[Column]
    row_count: int
    preview: Preview
    artifact: Artifact
    elapsed_seconds: float
    warnings: list[str]


class Bin(_Result):
    """A part of a histogram: above `lower`, up to and with `upper`; the first one includes its lower end."""

    lower: Any
    upper: Any
    count: int


class Frequent(_Result):
    value: Any
    count: int


class Profile(_Result):
    """What a column holds. What a type has no sense for is null or empty."""

    name: str
    type: str
    nulls: int
    distinct: Annotated[int | None, Field(description="Different values, estimated (HyperLogLog).")] = None
    not_finite: Annotated[int, Field(description="NaN and infinite values, which the figures below leave out.")] = 0
    min: Any = None
    max: Any = None
    mean: Any = None
    stddev: float | None = None
    quantiles: Annotated[
        dict[str, Any], Field(description="By their share, from 0.05 to 0.95, estimated (t-digest).")
    ] = {}
    histogram: list[Bin] = []
    shortest: Annotated[int | None, Field(description="Characters of the shortest text.")] = None
    longest: Annotated[int | None, Field(description="Characters of the longest text.")] = None
    frequent: Annotated[
        list[Frequent],
        Field(
            description="The most frequent values, found by an estimate (Filtered Space-Saving) and counted exactly."
        ),
    ] = []


class ProfileResult(_Result):
    """What a file holds, column by column."""

    kind: Literal["profile"] = "profile"
    source: Source
    columns: list[Profile]
    row_count: int
    preview: Preview
    elapsed_seconds: float
    warnings: list[str]
