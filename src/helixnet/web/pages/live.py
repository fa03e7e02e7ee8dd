"""The live stream of a page: tells the browser that something it shows has changed, so that it looks again."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import anyio
from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet import log
from helixnet.jobs.store import reading
from helixnet.users import service as users
from helixnet.web.deps import Platform
from helixnet.web.live import Change, Mark
from helixnet.web.pages.guard import PageRoute
from helixnet.web.pages.visitor import CurrentVisitor, PageReader, Visitor
from helixnet.web.state import State

GATHER_SECONDS = 0.1
CHECK_SECONDS = 15.0
RECONNECT_MILLISECONDS = 2000
UNSEEN_IN_LISTS = frozenset({"LOG", "OUTPUT"})

logger = log.logger("helix.web")

router = APIRouter(route_class=PageRoute)


async def mark_now(session: AsyncSession) -> Mark:
    """The place in the event log up to which everything can be seen: take it before reading what a page shows."""
    return Mark(await reading.horizon(session) - 1, 2**62)


@router.get("/live", response_class=EventSourceResponse)
async def live(
    platform: Platform,
    who: CurrentVisitor,
    reader: PageReader,
    job: UUID | None = None,
    after: Annotated[str | None, Query(max_length=100)] = None,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> AsyncIterator[ServerSentEvent]:
    """An event `changed` for what happened within a moment, its id the mark to go on from.

    Ends with the session, at the latest CHECK_SECONDS after it.
    """
    yield ServerSentEvent(retry=RECONNECT_MILLISECONDS)
    last = Mark.parse(last_event_id) or Mark.parse(after)
    watched = platform.feed.watch(reader.owner_id, last)
    checked_at = time.monotonic()
    try:
        async with aclosing(_batches(watched)) as batches:
            async for batch in batches:
                if any(_concerns(change, job) for change in batch):
                    yield ServerSentEvent(event="changed", id=str(batch[-1].mark), raw_data=str(len(batch)))
                if time.monotonic() - checked_at >= CHECK_SECONDS:
                    checked_at = time.monotonic()
                    if not await _still_allowed(platform, who, everyone=reader.everyone):
                        return
    except (SQLAlchemyError, OSError) as error:
        # The browser comes back by itself, and names the mark it has.
        logger.warning("a live stream ended early", error=log.first_line(error))


def _concerns(change: Change, job: UUID | None) -> bool:
    if change.job_id is None:
        return True
    return change.job_id == job if job is not None else change.kind not in UNSEEN_IN_LISTS


async def _batches(changes: AsyncGenerator[Change, None]) -> AsyncGenerator[list[Change], None]:
    """The changes, those of one moment together; an empty list after CHECK_SECONDS of silence."""
    upcoming = asyncio.ensure_future(anext(changes, None))
    try:
        while True:
            await asyncio.wait({upcoming}, timeout=CHECK_SECONDS)
            if upcoming.done():
                await asyncio.sleep(GATHER_SECONDS)
            batch = []
            while upcoming.done():
                if (change := upcoming.result()) is None:
                    return
                batch.append(change)
                upcoming = asyncio.ensure_future(anext(changes, None))
                await asyncio.sleep(0)  # what waits already is there after one turn of the loop
            yield batch
    finally:
        with anyio.CancelScope(shield=True):
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
            await changes.aclose()


async def _still_allowed(platform: State, who: Visitor, *, everyone: bool) -> bool:
    """Whether the session lives and may see this much. A stream is no visit: it does not prolong the session."""
    try:
        async with platform.database.transaction() as session:
            user = await users.by_session(session, who.token, timedelta(0))
    except (SQLAlchemyError, OSError):
        return True  # nobody can say right now; the next look will
    return user is not None and (not everyone or Visitor(user, who.token).admin)
