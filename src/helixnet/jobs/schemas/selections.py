"""Commands for many jobs on the wire: which are meant, and how many there were."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from helixnet.jobs.states import Status


class Changed(BaseModel):
    """How many jobs a command concerned."""

    model_config = ConfigDict(json_schema_extra={"example": {"count": 3}})

    count: int


class JobSelection(BaseModel):
    """Which jobs are meant: all conditions hold at once, and there has to be one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"status": "FAILED", "processor": "text.analyze"}}
    )

    status: Status | None = None
    processor: Annotated[str, Field(max_length=200)] | None = None
    queue: Annotated[str, Field(max_length=200)] | None = None
    fingerprint: Annotated[str, Field(max_length=64)] | None = Field(None, description="One kind of failure.")
    batch_id: UUID | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    cursor: UUID | None = Field(None, description="`next_cursor` of the answer before: goes on with older jobs.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_none=True, exclude={"cursor"}):
            raise ValueError("name at least one condition: a command for all jobs is given by none by accident")
        return self


class Matched(BaseModel):
    """How many jobs a command concerned."""

    model_config = ConfigDict(json_schema_extra={"example": {"count": 17, "more": False, "next_cursor": None}})

    count: int
    more: bool = Field(description="Whether there may be further ones, all of them older.")
    next_cursor: UUID | None = Field(description="Give the command again with it as `cursor` to go on with those.")
