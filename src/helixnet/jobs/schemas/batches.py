"""Batches on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from helixnet.jobs.schemas.jobs import JOB_ID, OWNER_ID
from helixnet.jobs.states import Status

BATCH_ID = "01990000-0000-7000-8000-0000000000bb"


BATCH: dict[str, JsonValue] = {
    "batch_id": BATCH_ID,
    "owner_id": OWNER_ID,
    "size": 1000,
    "created_at": "2026-11-23T09:00:00Z",
    "counts": {"PENDING": 700, "IN_PROGRESS": 50, "COMPLETED": 249, "FAILED": 1, "CANCELLED": 0},
    "finished": False,
}


class RejectedLine(BaseModel):
    """A line of a batch that is not a job, and why."""

    line: int = Field(description="Counted from 1; of an array, the element.")
    message: str
    violations: list[dict[str, str]] = Field(default_factory=list, description="Each wrong field: path and message.")


class BatchAccepted(BaseModel):
    """The jobs are in the ledger: each of them will reach a final state."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"batch_id": BATCH_ID, "size": 1, "job_ids": [JOB_ID], "rejected": []}}
    )

    batch_id: UUID
    size: int = Field(description="How many jobs were entered.")
    job_ids: list[UUID] = Field(description="In the order of the lines, without the rejected ones.")
    rejected: list[RejectedLine] = Field(description="Lines left out, which only a partial submission allows.")


class BatchView(BaseModel):
    """A batch, and what became of its jobs so far."""

    model_config = ConfigDict(json_schema_extra={"example": BATCH})

    batch_id: UUID
    owner_id: UUID
    size: int = Field(description="How many jobs were submitted; one that was deleted since is in no count.")
    created_at: datetime
    counts: dict[Status, int] = Field(description="How many jobs are in each state.")
    finished: bool = Field(description="Whether every job is in a final state.")


class BatchPage(BaseModel):
    """A page of batches, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [BATCH], "next_cursor": None}})

    items: list[BatchView]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; absent at the end.")
