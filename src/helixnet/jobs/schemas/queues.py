"""Queues on the wire."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class QueueView(BaseModel):
    """A queue and how it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "default",
                "paused": False,
                "running_limit": None,
                "owner_running_limit": 2,
                "waiting": 12,
                "waiting_is_capped": False,
                "running": 4,
                "workers": 2,
                "oldest_waiting_seconds": 0.8,
            }
        }
    )

    name: str
    paused: bool
    running_limit: int | None = Field(description="How many of its jobs may run at once.")
    owner_running_limit: int | None = Field(description="How many jobs of each owner may run at once in it.")
    waiting: int = Field(description="Jobs that are due.")
    waiting_is_capped: bool = Field(description="Whether there are more than were counted.")
    running: int
    workers: int = Field(description="How many worker processes serve it.")
    oldest_waiting_seconds: float | None = Field(description="How long the oldest job that is due has waited.")


class QueueList(BaseModel):
    """Every queue that has ever had a job."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": []}})

    items: list[QueueView]


Limit = Annotated[int, Field(ge=0, le=1_000_000)] | None


class QueueChange(BaseModel):
    """What to change of a queue; what is left out stays, null takes a limit away."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"running_limit": 10, "owner_running_limit": None}}
    )

    running_limit: Limit = None
    owner_running_limit: Limit = None
