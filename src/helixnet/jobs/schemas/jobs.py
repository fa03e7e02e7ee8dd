"""Jobs on the wire: submitted, accepted, shown, and why they wait."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, JsonValue

from helixnet.jobs.states import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY, Status
from helixnet.usage.schemas import ModelUsage

JOB_ID = "01990000-0000-7000-8000-0000000000aa"


OWNER_ID = "01990000-0000-7000-8000-000000000001"


PAYLOAD: dict[str, JsonValue] = {
    "content_key": f"jobs/{OWNER_ID}/{JOB_ID}/inputs/content_key/content_file.txt",
    "context_key": f"jobs/{OWNER_ID}/{JOB_ID}/inputs/context_key/context_file.txt",
}


SUMMARY: dict[str, JsonValue] = {
    "job_id": JOB_ID,
    "owner_id": OWNER_ID,
    "processor": "text.analyze",
    "payload": PAYLOAD,
    "queue": "default",
    "priority": DEFAULT_PRIORITY,
    "status": "COMPLETED",
    "attempt": 1,
    "max_attempts": 3,
    "progress": 1.0,
    "progress_message": "ranking passages",
    "result_path": f"jobs/{OWNER_ID}/{JOB_ID}/attempt-1/result.json",
    "error": None,
    "created_at": "2026-11-23T09:00:00Z",
    "available_at": "2026-11-23T09:00:00Z",
    "started_at": "2026-11-23T09:00:00.05Z",
    "finished_at": "2026-11-23T09:00:00.4Z",
    "cancel_requested_at": None,
}


TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


Priority = Annotated[
    int,
    Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY, description="9 goes first, 0 last; within one, the oldest first."),
]


def _as_utc(moment: datetime) -> datetime:
    """The time in UTC, which is meant where no zone is given."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is out of range") from None


class JobSubmission(BaseModel):
    """A job to run."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"processor": "core.echo", "params": {"message": "hello"}},
                {"processor": "text.analyze", "params": {}, "inputs": PAYLOAD, "priority": 7},
            ]
        },
    )

    processor: Annotated[str, Field(max_length=200, description="The name of an installed processor.")]
    params: dict[str, Any] = Field(default_factory=dict, description="The processor's parameters.")
    inputs: dict[str, Annotated[str, Field(max_length=2000)]] = Field(
        default_factory=dict, description="Role → storage key of a file that is yours, such as another job's artifact."
    )
    priority: Priority = DEFAULT_PRIORITY
    available_at: Annotated[datetime, AfterValidator(_as_utc)] | None = Field(
        None, description="Not to be started before this time; now when left out."
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="How often the job may be tried; the processor's own policy when left out."
    )


class JobAccepted(BaseModel):
    """The job is in the ledger: it will reach a final state."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"job_id": JOB_ID, "status": "PENDING", "payload": PAYLOAD}}
    )

    job_id: UUID
    status: Status
    payload: dict[str, str] = Field(description="The stored inputs: role → storage key.")


class UploadAccepted(JobAccepted):
    """The files are stored and the job is in the ledger. `payload` names all of them, whatever their roles."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "job_id": JOB_ID,
                "status": "PENDING",
                "payload": PAYLOAD,
                **PAYLOAD,
                "schema_key": None,
                "template_key": None,
            }
        }
    )

    content_key: str | None = Field(None, description="The storage key of the file, null where there was none.")
    context_key: str | None = None
    schema_key: str | None = None
    template_key: str | None = None


class JobError(BaseModel):
    """Why a job failed, or why its last attempt did."""

    kind: str = Field(description="`input`, `limit`, `upstream`, `worker_lost` or `bug`.")
    message: str = Field(description="A sentence for the user.")
    details: dict[str, Any] | None = None
    type: str | None = Field(None, description="The kind of exception.")
    place: str | None = Field(None, description="Where in the processor's code: `module:function`.")
    fingerprint: str | None = Field(None, description="The same for failures of one kind at one place.")


class JobSummary(BaseModel):
    """A job as lists show it."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": SUMMARY})

    job_id: UUID = Field(validation_alias=AliasChoices("job_id", "id"))
    owner_id: UUID
    processor: str
    payload: dict[str, str] = Field(description="The stored inputs: role → storage key.")
    queue: str
    priority: int
    status: Status
    attempt: int = Field(description="How many attempts were begun.")
    max_attempts: int
    progress: float | None = Field(description="How far the running attempt is, from 0 to 1.")
    progress_message: str | None
    result_path: str | None = Field(description="The storage key of the result, ending in `/result.json`.")
    error: JobError | None
    created_at: datetime
    available_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None


class Waiting(BaseModel):
    """Why a job waits, and for how long."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "reason": "in_line",
                "message": "12 jobs go before it; 2 worker processes serve the queue.",
                "ahead": 12,
                "ahead_is_capped": False,
                "workers": 2,
                "limit": None,
                "running": None,
                "estimated_start": "2026-11-23T09:00:01Z",
                "estimated_from": "By the last jobs of the queue 2 worker processes can do about 12 jobs a second.",
            }
        }
    )

    reason: Literal["start_time", "paused", "no_worker", "queue_limit", "owner_limit", "in_line"]
    message: str = Field(description="A sentence for the user.")
    ahead: int = Field(description="How many jobs go before it, as things stand.")
    ahead_is_capped: bool = Field(description="Whether there are more than were counted.")
    workers: int = Field(description="How many worker processes serve the queue.")
    limit: int | None = Field(description="The limit that holds it back: how many jobs may run at once.")
    running: int | None = Field(description="How many of those do.")
    estimated_start: datetime | None = Field(
        description="By the pace of the workers on the last jobs of the queue; absent where nothing honest can be said."
    )
    estimated_from: str | None = Field(description="How that was worked out, in words.")


class JobView(JobSummary):
    """A job in full."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": SUMMARY
            | {"params": {}, "waiting": None, "result_content": {"language": {"code": "en"}}, "trace_id": TRACE_ID}
        }
    )

    params: dict[str, Any]
    batch_id: UUID | None = Field(None, description="The batch that it was submitted in.")
    trace_id: str | None = Field(
        None, description="The trace (OpenTelemetry, W3C) of the request that submitted it, when traces are exported."
    )
    traceback: str | None = Field(
        None, description="For admins, of a job with an error that is not the input's: the end of the stack trace."
    )
    waiting: Waiting | None = Field(None, description="Of a PENDING job: why it waits, and for how long.")
    usage: list[ModelUsage] | None = Field(
        None, description="Of a job of a metered processor: what it has spent on each model, all attempts together."
    )
    result_content: Any = Field(
        None, description="The parsed result; where it is large, an object with `truncated`, `size` and a `preview`."
    )


class JobPage(BaseModel):
    """A page of jobs, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [SUMMARY], "next_cursor": JOB_ID}})

    items: list[JobSummary]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page; absent at the end. With a filter a page may be short."
    )


class EventView(BaseModel):
    """Something that happened to a job."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "seq": 2,
                "at": "2026-11-23T09:00:00.05Z",
                "kind": "IN_PROGRESS",
                "attempt": 1,
                "data": {"worker": "01990000-0000-7000-8000-0000000000ff"},
            }
        },
    )

    seq: int = Field(description="Counts the job's events from 1, without gaps.")
    at: datetime
    kind: str = Field(description="The new state of a state change; else `PROGRESS`, `LOG` or `CANCEL_REQUESTED`.")
    attempt: int
    data: dict[str, Any] | None


class EventPage(BaseModel):
    """A job's events in order."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [], "next_after": None}})

    items: list[EventView]
    next_after: int | None = Field(description="Give it as `after` for more; absent at the end.")
