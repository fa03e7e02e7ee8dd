"""The parameters and the result of `embed.search`, as they stand in the job and in result.json."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from helixnet.processors.text.results import Encoding, LanguageFound, ScoredSpan


class SearchParams(BaseModel):
    """What to look for, and in what pieces."""

    model_config = ConfigDict(extra="forbid")

    top_k: Annotated[int, Field(ge=1, le=50, description="Passages for each question, at most.")] = 3
    threshold: Annotated[
        float, Field(ge=-1, le=1, description="Passages with a lower score are left out; 0.3 is a clear likeness.")
    ] = 0.0
    chunk_characters: Annotated[int, Field(ge=100, le=2000, description="The length of a passage, at most.")] = 800
    overlap_sentences: Annotated[
        int, Field(ge=0, le=3, description="Sentences with which a passage begins that end the one before.")
    ] = 1
    questions: Annotated[
        int, Field(ge=1, le=100, description="Questions of the context, at most; a longer context is taken as one.")
    ] = 20
    embeddings: Annotated[
        bool, Field(description="Whether to write every vector (embeddings.npy) and its place (chunks.ndjson).")
    ] = False


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class Model(_Result):
    name: str
    version: str
    dimensions: int


class Found(ScoredSpan):
    """text[start:end] of the decoded content, with the cosine of the angle between its vector and the question's."""

    score: Annotated[float, Field(ge=-1, le=1, description="Cosine likeness, -1 to 1.")]


class Answer(_Result):
    question: str
    found: Annotated[list[Found], Field(description="The best passages first, none of which overlap.")]


class Findings(_Result):
    """What `embed.search` finds."""

    encoding: Encoding
    language: LanguageFound
    model: Model
    chunks: Annotated[int, Field(description="Passages that were compared with each question.")]
    answers: list[Answer]
