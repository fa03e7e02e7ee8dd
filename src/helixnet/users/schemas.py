"""What accounts look like on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Role(StrEnum):
    ADMIN = "admin"
    USER = "user"


class TokenAnswer(BaseModel):
    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(description="Seconds until the token is no longer accepted.")

    model_config = ConfigDict(
        json_schema_extra={"example": {"access_token": "eyJhbGciOi…", "token_type": "bearer", "expires_in": 3600}}
    )


class UserView(BaseModel):
    id: UUID
    email: str
    role: Role
    active: bool
    created_at: datetime

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": "01990000-0000-7000-8000-000000000001",
                "email": "demo@helix.net",
                "role": "user",
                "active": True,
                "created_at": "2026-11-23T09:00:00Z",
            }
        },
    )
