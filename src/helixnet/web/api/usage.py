"""The API of usage: what was spent on metered work."""

from typing import Annotated

from fastapi import APIRouter, Query

from helixnet.usage import service
from helixnet.usage.schemas import UsagePage
from helixnet.web.deps import CurrentReader, Platform
from helixnet.web.errors import SIGNED_IN, problems

router = APIRouter(prefix="/usage", tags=["usage"])


@router.get("", summary="What was spent", responses=problems(*SIGNED_IN))
async def months(
    platform: Platform,
    reader: CurrentReader,
    cursor: Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many months at most.")] = 12,
) -> UsagePage:
    """Calls, tokens and cost by month, newest first, with the budget; for an admin with `everyone` of every owner."""
    settings = platform.settings
    async with platform.database.statement() as session:
        return await service.months(session, reader.owner_id, settings.currency, settings.budget, cursor, limit)
