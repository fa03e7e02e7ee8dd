"""What jobs look like on the wire, for the API and the client alike."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue

from helixnet.jobs.states import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY, Status

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

Priority = Annotated[
    int,
    Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY, description="9 goes first, 0 last; within one, the oldest first."),
]


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
    available_at: datetime | None = Field(None, description="Not to be started before this time; now when left out.")
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
    """The files are stored and the job is in the ledger."""

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

    content_key: str
    context_key: str
    schema_key: str | None = None
    template_key: str | None = None


class JobError(BaseModel):
    """Why a job failed, or why its last attempt did."""

    kind: str = Field(description="`input`, `limit`, `upstream`, `worker_lost` or `bug`.")
    message: str = Field(description="A sentence for the user.")
    details: dict[str, Any] | None = None


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


class JobView(JobSummary):
    """A job in full."""

    model_config = ConfigDict(
        json_schema_extra={"example": SUMMARY | {"params": {}, "result_content": {"language": {"code": "en"}}}}
    )

    params: dict[str, Any]
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
