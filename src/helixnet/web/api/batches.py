"""The API of batches: many jobs in one request."""

import asyncio
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query, Request, Response, status

from helixnet.config import Settings
from helixnet.jobs import batches
from helixnet.jobs.batches import AcceptedBatch, Draft
from helixnet.jobs.schemas import BatchAccepted, BatchPage, BatchView, Changed
from helixnet.web.cutting import Cutter, Elements, Lines
from helixnet.web.deps import CurrentReader, CurrentUser, Platform
from helixnet.web.errors import SIGNED_IN, NotFound, OverBudget, TooLarge, UnsupportedMedia, problems
from helixnet.web.state import State

submission = APIRouter(tags=["batches"])
router = APIRouter(prefix="/batches", tags=["batches"])

LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
# So much of a body is read before it is looked at, in a thread: validation would hold up the event loop.
PIECE_BYTES = 256 * 1024

# Counted as it streams in, against HELIX_MAX_BATCH_BYTES.
ANY_BODY_SIZE = 2**62

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "maxItems": batches.LARGEST_BATCH,
                    "items": {"$ref": "#/components/schemas/JobSubmission"},
                },
                "example": [{"processor": "core.echo", "params": {"message": "hello"}}],
            },
            "application/x-ndjson": {
                "schema": {"type": "string", "description": "One job (JobSubmission) in each line."},
                "example": '{"processor": "core.echo"}\n{"processor": "core.echo", "priority": 7}\n',
            },
        },
    }
}

BatchId = Annotated[UUID, Path(description="The batch's id.")]


@submission.post(
    "/jobs/batch",
    summary="Submit many jobs",
    status_code=status.HTTP_201_CREATED,
    response_model=BatchAccepted,
    responses=problems(*SIGNED_IN, OverBudget, TooLarge, UnsupportedMedia),
    openapi_extra=BODY,
    max_body_size=ANY_BODY_SIZE,
)
async def submit(
    platform: Platform,
    user: CurrentUser,
    request: Request,
    partial: Annotated[bool, Query(description="Enter the right jobs even if others are wrong.")] = False,
) -> Response:
    """Submits up to 10,000 jobs in one transaction: a JSON array, or a stream of lines with a job each.

    All or none are entered unless `partial`; what is wrong with a line is told with its number.
    """
    draft = Draft(platform.registry, user.id, longest=platform.settings.max_body_bytes)
    await _read(platform.settings, request, draft)
    async with platform.database.transaction() as session:
        accepted = await batches.submit(session, draft, partial=partial, budget=platform.settings.budget)
    _tell(platform, user.id, accepted.queues)
    return Response(await asyncio.to_thread(_answer, accepted), status.HTTP_201_CREATED, media_type="application/json")


@router.get("", summary="List batches", responses=problems(*SIGNED_IN))
async def list_batches(
    platform: Platform,
    reader: CurrentReader,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=50, description="How many batches at most.")] = 20,
) -> BatchPage:
    """The caller's batches, newest first, a page at a time."""
    async with platform.database.statement() as session:
        return await batches.list_batches(session, reader, cursor, limit)


@router.get("/{batch_id}", summary="Show a batch", responses=problems(*SIGNED_IN, NotFound))
async def show(platform: Platform, reader: CurrentReader, batch_id: BatchId) -> BatchView:
    """How many of the batch's jobs are in each state."""
    async with platform.database.statement() as session:
        return await batches.get(session, reader, batch_id)


@router.post("/{batch_id}/cancel", summary="Cancel a batch", responses=problems(*SIGNED_IN, NotFound))
async def cancel(platform: Platform, reader: CurrentReader, batch_id: BatchId) -> Changed:
    """Cancels its waiting jobs at once, and asks the workers of its running ones to stop."""
    async with platform.database.transaction() as session:
        commanded = await batches.cancel(session, reader, batch_id)
    _tell(platform, commanded.owner_id, commanded.queues)
    return Changed(count=commanded.count)


@router.post("/{batch_id}/retry", summary="Retry a batch", responses=problems(*SIGNED_IN, NotFound))
async def retry(platform: Platform, reader: CurrentReader, batch_id: BatchId) -> Changed:
    """Puts its FAILED and CANCELLED jobs back in line with fresh attempts."""
    async with platform.database.transaction() as session:
        commanded = await batches.retry(session, platform.registry, reader, batch_id)
    _tell(platform, commanded.owner_id, commanded.queues)
    return Changed(count=commanded.count)


async def _read(settings: Settings, request: Request, draft: Draft) -> None:
    """The body into the draft, in a thread; raises UnsupportedMedia, TooLarge, Invalid."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and media_type not in LINES:
        raise UnsupportedMedia("Send a JSON array (application/json) or lines of JSON (application/x-ndjson).")
    cutter: Cutter = Lines(draft.longest) if media_type in LINES else Elements(draft.longest)
    held, size, read = list[bytes](), 0, 0
    async for piece in request.stream():
        read += len(piece)
        if read > settings.max_batch_bytes:
            raise TooLarge(f"The batch is larger than {settings.max_batch_bytes} bytes: send it in several.")
        held.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            await asyncio.to_thread(draft.add, cutter.take(b"".join(held), last=False))
            held, size = [], 0
    await asyncio.to_thread(draft.add, cutter.take(b"".join(held), last=True))


def _tell(platform: State, owner_id: UUID, queues: Iterable[str]) -> None:
    """Show the change once, and ring once for each queue."""
    platform.tell(owner_id)
    for queue in queues:
        platform.ringer.ring(queue)


def _answer(accepted: AcceptedBatch) -> bytes:
    return orjson.dumps(
        {
            "batch_id": accepted.id,
            "size": len(accepted.job_ids),
            "job_ids": accepted.job_ids,
            "rejected": [rejected.model_dump() for rejected in accepted.rejected],
        }
    )
