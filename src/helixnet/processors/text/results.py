"""The parameters and the result of `text.analyze`, as they stand in the job and in result.json."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class AnalyzeParams(BaseModel):
    """How much to find."""

    model_config = ConfigDict(extra="forbid")

    summary_sentences: Annotated[int, Field(ge=0, le=50, description="Sentences of the summary, at most.")] = 5
    key_phrases: Annotated[int, Field(ge=0, le=100, description="Key phrases, at most.")] = 12
    passages: Annotated[int, Field(ge=0, le=20, description="Passages for each question, at most.")] = 3
    questions: Annotated[
        int,
        Field(ge=1, le=100, description="Questions of the context, at most; a longer context is taken as one."),
    ] = 20


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class Encoding(_Result):
    name: Annotated[str, Field(description="The Python codec that the file is decoded with; offsets count on it.")]
    bom: Annotated[bool, Field(description="Whether the file begins with a byte order mark.")]
    size: Annotated[int, Field(description="The size of the file that was handed over, in bytes.")]
    flaws: Annotated[int, Field(description="Broken bytes in UTF-8, read as U+FFFD.")]


class SourceRead(_Result):
    format: Literal["text", "markdown", "html", "pdf", "docx"]
    pages: Annotated[int | None, Field(description="Of a PDF.")] = None
    text: Annotated[
        str | None,
        Field(description="The artifact with the document's text, in UTF-8, on which offsets then count."),
    ] = None
    chunks: Annotated[int, Field(description="In how many pieces it was analysed; 1 is as a whole.")] = 1
    approximate: Annotated[
        list[str],
        Field(description="Which parts of the result are close to what the whole would give, and not the same."),
    ] = []


class Counts(_Result):
    characters: int
    words: Annotated[
        int, Field(description="In scripts without spaces (Chinese, Japanese, Thai) each character is a word.")
    ]
    sentences: int
    paragraphs: int
    unique_words: Annotated[int, Field(description="Different words, upper and lower case taken as one.")]
    reading_minutes: Annotated[float, Field(description="For an adult reading silently in the language, in minutes.")]


class LanguageFound(_Result):
    code: Annotated[str, Field(description="ISO 639; `und` where there is too little text to tell.")]
    name: str
    confidence: Annotated[float, Field(ge=0, le=1, description="How far the language is ahead of the next best.")]


class KeyPhrase(_Result):
    text: str
    score: Annotated[float, Field(ge=0, le=1, description="1 for the best phrase of the text.")]
    count: Annotated[int, Field(description="How often it occurs, in any of its forms.")]


class Span(_Result):
    """A piece of the text: decoded content[start:end] == text, in characters; of a document, of its text artifact."""

    text: str
    start: int
    end: int


class ScoredSpan(Span):
    score: Annotated[float, Field(ge=0, le=1, description="0 to 1, comparable between questions.")]


class Answer(_Result):
    question: str
    found: Annotated[list[ScoredSpan], Field(description="The best passages first; none if no word of it occurs.")]


class Analysis(_Result):
    """What `text.analyze` finds."""

    source: SourceRead
    encoding: Encoding
    counts: Counts
    language: LanguageFound
    key_phrases: list[KeyPhrase]
    summary: Annotated[list[Span], Field(description="Sentences of the text that sum it up, in its own order.")]
    passages: Annotated[list[Answer], Field(description="For each question of the context, where it is answered.")]
