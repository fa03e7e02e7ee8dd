"""What processors look like on the wire, for the API, the client and the dashboard alike."""

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.errors import PydanticUserError

from helixnet.processors.base import Processor

EXAMPLE: dict[str, JsonValue] = {
    "name": "acme.count",
    "version": "1",
    "description": "Counts words.",
    "params_schema": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"longest": {"type": "integer", "minimum": 1, "default": 100, "title": "Longest"}},
    },
    "inputs": {
        "content_key": {
            "description": "The text.",
            "required": True,
            "media_types": ["text/*"],
            "max_bytes": 1_000_000,
        }
    },
    "outputs": {"words.csv": {"description": "Each word and its count.", "media_type": "text/csv"}},
    "queue": "default",
    "time_limit_seconds": 1800,
    "retry": {"max_attempts": 3, "first_seconds": 2, "longest_seconds": 600, "again_after_limit": True},
    "isolation": "process",
    "limits": {"memory_bytes": 2_147_483_648, "cpu_seconds": None, "file_bytes": 1_073_741_824, "open_files": 256},
    "development_only": False,
}


class InputView(BaseModel):
    """A file that a processor reads."""

    description: str
    required: bool
    media_types: list[str] = Field(description="Those that it takes, `text/*` for all of a kind; any when empty.")
    max_bytes: int | None = Field(description="The largest size; null where only the platform's own limit counts.")


class OutputView(BaseModel):
    """An artifact that a processor may write."""

    description: str
    media_type: str


class RetryView(BaseModel):
    """How a failed attempt is tried again."""

    max_attempts: int
    first_seconds: float = Field(description="The wait before the second attempt, about; it doubles from then on.")
    longest_seconds: float
    again_after_limit: bool = Field(description="Whether an attempt that ran into a limit is tried again.")


class ProcessorView(BaseModel):
    """An installed processor: what it does, what it takes, and what it may use."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    name: str
    version: str
    description: str
    params_schema: dict[str, Any] = Field(description="The JSON Schema (draft 2020-12) of the parameters.")
    inputs: dict[str, InputView] = Field(description="The files that it reads, by role.")
    outputs: dict[str, OutputView] = Field(description="The artifacts that it may write, by name or pattern.")
    queue: str
    time_limit_seconds: float = Field(description="How long one attempt may take.")
    retry: RetryView
    isolation: Literal["inline", "process"] = Field(description="`process`: each attempt has a process of its own.")
    limits: dict[str, int | None] | None = Field(
        description="What that process may use: bytes of memory, seconds of CPU time, … Null when `inline`."
    )
    development_only: bool


class ProcessorList(BaseModel):
    """Every installed processor."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [EXAMPLE]}})

    items: list[ProcessorView]


def view(processor: Processor) -> ProcessorView:
    """The processor as the API shows it."""
    retry = processor.retry
    return ProcessorView(
        name=processor.name,
        version=processor.version,
        description=processor.description,
        params_schema=params_schema(processor),
        inputs={
            role: InputView(
                description=about.description,
                required=about.required,
                media_types=list(about.media_types),
                max_bytes=about.max_bytes,
            )
            for role, about in processor.inputs.items()
        },
        outputs={
            name: OutputView(description=about.description, media_type=about.media_type)
            for name, about in processor.outputs.items()
        },
        queue=processor.queue,
        time_limit_seconds=processor.time_limit.total_seconds(),
        retry=RetryView(
            max_attempts=retry.max_attempts,
            first_seconds=retry.first.total_seconds(),
            longest_seconds=retry.longest.total_seconds(),
            again_after_limit=retry.again_after_limit,
        ),
        isolation=processor.isolation,
        limits=asdict(processor.limits) if processor.isolation == "process" else None,
        development_only=processor.development_only,
    )


def params_schema(processor: Processor) -> dict[str, Any]:
    """The JSON Schema of the parameters; any object where their model has a type that JSON Schema can't say."""
    try:
        return processor.params.model_json_schema()
    except PydanticUserError:
        return {"type": "object", "title": processor.params.__name__}
