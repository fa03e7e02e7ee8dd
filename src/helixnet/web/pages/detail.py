"""One job in full: its result, its files, its history, and what its owner may do with it."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs import selections, story
from helixnet.jobs import service as jobs
from helixnet.jobs.service import Reader
from helixnet.jobs.states import FINAL, Status
from helixnet.web.deps import Platform
from helixnet.web.pages import failures, files
from helixnet.web.pages.guard import SEE_OTHER, PageRoute, by_htmx
from helixnet.web.pages.live import mark_now
from helixnet.web.pages.render import page, pretty
from helixnet.web.pages.visitor import CurrentVisitor, PageReader, TrustedVisitor, Visitor, keep_cookie
from helixnet.web.state import State

EVENTS = 200
MOST_EVENTS = 2000
# More than this of a result is no longer read but downloaded.
SHOWN_CHARACTERS = 64 * 1024

router = APIRouter(prefix="/jobs/{job_id}", route_class=PageRoute)


@router.get("")
async def show(
    request: Request,
    platform: Platform,
    who: CurrentVisitor,
    reader: PageReader,
    job_id: UUID,
    events: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = EVENTS,
) -> Response:
    """The job's page; for the page's script, the part of it that changes."""
    async with platform.database.transaction() as session:
        mark = await mark_now(session)
        part = await _part(session, platform, reader, job_id, events)
    if by_htmx(request):
        return page("parts/job.html", who=who, alone=True, **part)
    everyone = {"everyone": "true"} if reader.everyone else {}
    live = "/live?" + urlencode({"job": str(job_id)} | everyone)
    response = page("job.html", who=who, alone=False, live=live, mark=str(mark), **part)
    keep_cookie(response, platform.settings, who.token)
    return response


@router.post("/cancel")
async def cancel(
    request: Request, platform: Platform, who: TrustedVisitor, reader: PageReader, job_id: UUID
) -> Response:
    async with platform.database.transaction() as session:
        job = await jobs.cancel(session, reader, job_id)
    platform.tell(job.owner_id)
    return await _again(request, platform, who, reader, job_id)


@router.post("/retry")
async def retry(
    request: Request, platform: Platform, who: TrustedVisitor, reader: PageReader, job_id: UUID
) -> Response:
    async with platform.database.transaction() as session:
        job = await jobs.retry(session, platform.registry, reader, job_id)
    platform.tell(job.owner_id, job.queue)
    return await _again(request, platform, who, reader, job_id)


@router.post("/replay")
async def replay(
    request: Request, platform: Platform, _who: TrustedVisitor, reader: PageReader, job_id: UUID
) -> Response:
    """Run the job anew, and go to the page of the new one."""
    async with platform.database.transaction() as session:
        accepted = await selections.replay_one(session, platform.registry, reader, job_id)
    platform.tell(accepted.owner_id, accepted.queue)
    return _elsewhere(request, f"/jobs/{accepted.answer.job_id}{_suffix(reader)}")


@router.post("/delete")
async def delete(
    request: Request, platform: Platform, _who: TrustedVisitor, reader: PageReader, job_id: UUID
) -> Response:
    async with platform.database.transaction() as session:
        await jobs.delete(session, reader, job_id)
    return _elsewhere(request, f"/{_suffix(reader)}")


async def _again(request: Request, platform: State, who: Visitor, reader: Reader, job_id: UUID) -> Response:
    """The job as it is after a change."""
    if not by_htmx(request):
        return RedirectResponse(f"/jobs/{job_id}{_suffix(reader)}", SEE_OTHER)
    async with platform.database.transaction() as session:
        part = await _part(session, platform, reader, job_id, EVENTS)
    return page("parts/job.html", who=who, alone=True, **part)


def _elsewhere(request: Request, address: str) -> Response:
    """Send the browser to another page."""
    if by_htmx(request):
        return Response(status_code=200, headers={"HX-Redirect": address})
    return RedirectResponse(address, SEE_OTHER)


def _suffix(reader: Reader) -> str:
    """What the addresses of a page carry on, so that an admin goes on seeing everybody's jobs."""
    return "?everyone=true" if reader.everyone else ""


async def _part(session: AsyncSession, platform: State, reader: Reader, job_id: UUID, events: int) -> dict[str, Any]:
    job = await jobs.get(
        session,
        platform.blobs,
        reader,
        job_id,
        max_result_bytes=platform.settings.max_result_bytes,
        lease=platform.lease,
        metered=platform.registry.metered,
    )
    told = await story.tell(session, reader, job_id, job.attempt, events)
    result, cut = _shown(job.result_content)
    return {
        "job": job,
        "suffix": _suffix(reader),
        "currency": platform.settings.currency,
        "result": result,
        "result_cut": cut,
        "advice": failures.ADVICE.get(job.error.kind, "") if job.error else "",
        "details": failures.shown(job.error.details) if job.error else None,
        "artifacts": files.shown(await jobs.list_artifacts(session, reader, job_id)),
        "story": told,
        "events_asked": events,
        "more_events": min(events * 2, MOST_EVENTS) if told.earlier and events < MOST_EVENTS else None,
        "may_cancel": job.status not in FINAL and job.cancel_requested_at is None,
        "may_retry": job.status in {Status.FAILED, Status.CANCELLED},
        "may_replay": job.status in FINAL,
        "may_delete": job.status in FINAL,
    }


def _shown(content: Any) -> tuple[str, bool]:
    """The result as text, and whether a part of it was left out."""
    if isinstance(content, dict) and content.get("truncated") is True and content.keys() == {
        "truncated", "size", "preview",
    }:  # fmt: skip
        return str(content["preview"]), True
    text = pretty(content)
    return text[:SHOWN_CHARACTERS], len(text) > SHOWN_CHARACTERS
