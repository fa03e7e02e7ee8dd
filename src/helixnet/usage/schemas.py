"""What usage looks like on the wire."""

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

OWNER_ID = "0199a3c4-7f00-7d53-a7e1-5b1f1f2d9a10"


def plain(amount: Decimal) -> str:
    """An amount in digits, without an exponent or zeros at its end."""
    written = f"{amount:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


Amount = Annotated[Decimal, PlainSerializer(plain, return_type=str, when_used="json")]


class ModelUsage(BaseModel):
    """What a job has spent on one model, all its attempts together."""

    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost: Amount
    seconds: float = Field(description="The time that its calls took, one after the other.")
    estimated: bool = Field(
        description="Whether some of it is an estimate: a server told no figures, or a call broke off."
    )


class UsageMonth(BaseModel):
    """An owner's month."""

    owner_id: UUID
    month: date = Field(description="The first of the month, in UTC.")
    calls: int
    tokens_in: int
    tokens_out: int
    cost: Amount = Field(description="What it has cost, calls under way with the most that they may cost.")
    budget: Amount | None = Field(description="What the owner may spend in a month; null for no bound.")


class UsagePage(BaseModel):
    """Months, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "currency": "USD",
                "items": [
                    {
                        "owner_id": OWNER_ID,
                        "month": "2026-11-01",
                        "calls": 12,
                        "tokens_in": 48210,
                        "tokens_out": 3904,
                        "cost": "0.0198605",
                        "budget": "20",
                    }
                ],
                "next_cursor": None,
            }
        }
    )

    currency: str = Field(description="What prices, costs and budgets are in.")
    items: list[UsageMonth]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; absent at the end.")
