"""What a job of `llm.run` may choose, and what it answers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from helixnet.processors.llm.tokens import SMALLEST_PART


class LlmParams(BaseModel):
    """The parameters of `llm.run`."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[
        str | None, Field(max_length=200, description="One of the models that the operator allows; else the default.")
    ] = None
    temperature: Annotated[
        float | None,
        Field(ge=0, le=2, description="How freely the model chooses its words; else the server's default."),
    ] = None
    max_output_tokens: Annotated[int, Field(ge=16, le=1_000_000, description="The longest answer, in tokens.")] = 1024
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="Asks for the same answer each time.")] = None
    long_content: Annotated[
        Literal["split", "refuse"],
        Field(description="What to do with content that is too long for one call: work through it in parts, or fail."),
    ] = "split"
    part_tokens: Annotated[
        int | None,
        Field(ge=SMALLEST_PART, description="The size of a part in tokens; by default as large as the model can read."),
    ] = None
    repairs: Annotated[
        int, Field(ge=0, le=5, description="How often an answer that does not fit the schema is asked for again.")
    ] = 2
    cache: Annotated[
        bool, Field(description="Take answers that the same questions had before, and keep these for the next time.")
    ] = True


class Taken(BaseModel):
    """What an attempt has spent; the job's `usage` counts all of them."""

    tokens_in: int
    tokens_out: int
    cost: str = Field(description="In the currency of the operator's prices.")
    seconds: float = Field(description="The time that the calls took, one after the other.")
    estimated: bool = Field(description="Whether some of the tokens were counted by us and not by the server.")


class LlmResult(BaseModel):
    """The answer, and how it came about."""

    answer: str | None = Field(description="The model's words; null where a schema was given.")
    data: Any = Field(None, description="The answer as data, where a schema was given: it fits the schema.")
    model: str
    truncated: bool = Field(description="Whether the answer was cut off at `max_output_tokens`.")
    parts: int = Field(description="In how many parts the content was read.")
    calls: int = Field(description="How many answers the server gave.")
    cached: int = Field(description="How many answers were known from before, and cost nothing.")
    repairs: int = Field(description="How often an answer had to be asked for again because it did not fit the schema.")
    usage: Taken
