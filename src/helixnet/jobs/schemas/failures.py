"""Failures by kind on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from helixnet.jobs.schemas.jobs import JOB_ID, JobError


class FailureKind(BaseModel):
    """FAILED jobs with one kind of failure at one place."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "fingerprint": "9f86d081884c7d65",
                "processor": "text.analyze",
                "error": {"kind": "bug", "message": "The processor failed: ValueError: …", "type": "ValueError"},
                "count": 17,
                "count_is_capped": False,
                "first_job_id": JOB_ID,
                "first_at": "2026-11-23T08:00:00Z",
                "latest_job_id": JOB_ID,
                "latest_at": "2026-11-23T09:00:00Z",
            }
        }
    )

    fingerprint: str
    processor: str
    error: JobError = Field(description="The latest one's.")
    count: int
    count_is_capped: bool = Field(description="Whether there are more than were counted.")
    first_job_id: UUID = Field(description="The oldest of the jobs.")
    first_at: datetime | None = Field(description="When that one failed.")
    latest_job_id: UUID = Field(description="The newest of the jobs.")
    latest_at: datetime | None = Field(description="When that one failed.")


class FailureList(BaseModel):
    """Failures by kind, those with the newest job first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [], "more": False}})

    items: list[FailureKind]
    more: bool = Field(description="Whether there are more kinds than were looked at.")
