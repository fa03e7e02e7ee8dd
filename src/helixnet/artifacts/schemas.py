"""What artifacts look like on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

EXAMPLE: dict[str, JsonValue] = {
    "id": "01990000-0000-7000-8000-00000000000a",
    "direction": "output",
    "role": "result.json",
    "attempt": 1,
    "storage_key": "jobs/01990000-…/01990000-…/attempt-1/result.json",
    "filename": "result.json",
    "media_type": "application/json",
    "size": 5321,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-11-23T09:00:02Z",
}


class ArtifactView(BaseModel):
    """A stored object that belongs to a job, as input or output."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": EXAMPLE})

    id: UUID
    direction: str = Field(description="`input` or `output`.")
    role: str = Field(description="The input's role, or the output's name.")
    attempt: int = Field(description="The attempt that wrote it; 0 for inputs.")
    storage_key: str
    filename: str
    media_type: str
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="SHA-256 of the content, in hex.")
    created_at: datetime
