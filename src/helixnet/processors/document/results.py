"""The parameters and the result of `document.report`, as they stand in the job and in result.json."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ContentFormat = Literal["json", "yaml", "csv", "text"]
Language = Literal["markdown", "html", "text"]


class ReportParams(BaseModel):
    """What to make."""

    model_config = ConfigDict(extra="forbid")

    output: Annotated[
        Literal["auto", "markdown", "html", "text"],
        Field(description="What the report is written in; `auto` is what the template writes, by its name."),
    ] = "auto"
    pdf: Annotated[
        bool, Field(description="Make report.pdf as well, out of Markdown; where helixnet[pdf] is installed.")
    ] = False
    content_format: Annotated[
        Literal["auto", "json", "yaml", "csv", "text"],
        Field(description="What the content is; `auto` goes by its name and by what it looks like."),
    ] = "auto"


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class Made(_Result):
    name: Annotated[str, Field(description="The artifact's name.")]
    media_type: str
    size: Annotated[int, Field(description="In bytes.")]


class ContentRead(_Result):
    filename: str
    format: ContentFormat
    size: Annotated[int, Field(description="In bytes.")]
    encoding: Annotated[str, Field(description="The Python codec that the file was decoded with.")]
    records: Annotated[int | None, Field(description="Rows of a CSV, or entries of a list; null for anything else.")]


class Counts(_Result):
    """Of the report: the Markdown, HTML or text that the template made."""

    characters: int
    words: int
    lines: int


class Finding(_Result):
    """A numeric column of the content."""

    table: Annotated[str, Field(description="Where the table is: `content`, or the name of one of its lists.")]
    column: str
    count: Annotated[int, Field(description="Rows that have a number in it.")]
    total: float
    mean: float
    smallest: float
    largest: float


class Report(_Result):
    """What `document.report` made, and of what."""

    output: Language
    made: list[Made]
    content: ContentRead
    template: Annotated[str | None, Field(description="The template's file name; null for the default report.")]
    validated: Annotated[bool, Field(description="Whether the content was held against a schema.")]
    counts: Counts
    findings: Annotated[list[Finding], Field(description="What the numeric columns of the content add up to.")]
    warnings: Annotated[list[str], Field(description="What was done otherwise than one might expect.")]
    preview: Annotated[str, Field(description="The report's first 1,024 characters.")]
