"""The list of jobs, and the form that submits one."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs import service as jobs
from helixnet.jobs.service import Reader
from helixnet.jobs.states import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY, Status
from helixnet.users import service as users
from helixnet.web.deps import Platform
from helixnet.web.pages import form
from helixnet.web.pages.guard import SEE_OTHER, PageRoute, by_htmx
from helixnet.web.pages.live import mark_now
from helixnet.web.pages.render import page
from helixnet.web.pages.visitor import CurrentVisitor, PageReader, keep_cookie
from helixnet.web.upload import DEFAULT_PROCESSOR

PAGE_LENGTH = 25
# What stays live on one page; older jobs are on the next.
LONGEST_PAGE = 200

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which jobs a list shows: the part of it that is in the address."""

    status: Status | None
    everyone: bool
    cursor: str | None

    def address(self, path: str = "/", **changes: object) -> str:
        """The address of this list at `path`, or with `changes` to it."""
        wanted = {"status": self.status, "everyone": "true" if self.everyone else None, "cursor": self.cursor}
        query = urlencode({name: value for name, value in (wanted | changes).items() if value is not None})
        return f"{path}?{query}" if query else path


def selection(
    reader: PageReader,
    status: Status | None = None,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Selection:
    return Selection(status, reader.everyone, cursor)


CurrentSelection = Annotated[Selection, Depends(selection)]


@router.get("/")
async def show(platform: Platform, who: CurrentVisitor, reader: PageReader, chosen: CurrentSelection) -> Response:
    """The dashboard."""
    async with platform.database.transaction() as session:
        mark = await mark_now(session)
        part = await _part(session, reader, chosen, PAGE_LENGTH)
    response = page(
        "list.html",
        who=who,
        live=f"/live?{urlencode({'everyone': 'true'} if reader.everyone else {})}",
        mark=str(mark),
        statuses=list(Status),
        processors=list(platform.registry),
        asked=form.asked(platform, DEFAULT_PROCESSOR if DEFAULT_PROCESSOR in platform.registry else None),
        priorities=range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1),
        default_priority=DEFAULT_PRIORITY,
        longest=LONGEST_PAGE,
        **part,
    )
    keep_cookie(response, platform.settings, who.token)
    return response


@router.get("/jobs")
async def show_part(
    request: Request,
    platform: Platform,
    reader: PageReader,
    chosen: CurrentSelection,
    count: Annotated[int, Query(ge=1)] = PAGE_LENGTH,
) -> Response:
    """The list alone: looked at again after a change, or continued where it ends."""
    if not by_htmx(request):
        return RedirectResponse(chosen.address(), SEE_OTHER)
    async with platform.database.transaction() as session:
        part = await _part(session, reader, chosen, min(max(count, PAGE_LENGTH), LONGEST_PAGE))
    return page("parts/jobs.html", **part)


async def _part(session: AsyncSession, reader: Reader, chosen: Selection, limit: int) -> dict[str, Any]:
    found = await jobs.list_jobs(session, reader, status=chosen.status, cursor=chosen.cursor, limit=limit)
    owners: dict[UUID, str] = {}
    if reader.everyone:
        owners = {user.id: user.email for user in await users.list_users(session)}
    return {"chosen": chosen, "jobs": found.items, "next_cursor": found.next_cursor, "owners": owners}
