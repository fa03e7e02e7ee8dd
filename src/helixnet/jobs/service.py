"""The rules of jobs as their owners meet them: submit, look, cancel, retry, delete."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import uuid_utils.compat as uuids
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet import tracing
from helixnet.artifacts import service as artifacts
from helixnet.artifacts.schemas import ArtifactView
from helixnet.artifacts.service import NewArtifact
from helixnet.blobs import BlobStore
from helixnet.db import Executor, dump_json
from helixnet.errors import Conflict, Invalid, NotFound, TooLarge
from helixnet.jobs import queues
from helixnet.jobs.intake import Intake
from helixnet.jobs.models import Job
from helixnet.jobs.schemas import (
    EventPage,
    EventView,
    JobAccepted,
    JobPage,
    JobSubmission,
    JobSummary,
    JobView,
)
from helixnet.jobs.states import FINAL, Status
from helixnet.jobs.store import commands, reading, tracebacks
from helixnet.jobs.store.reading import JobRow
from helixnet.processors.registry import Registry, check_files, check_inputs, parse_params
from helixnet.usage import service as usage

PREVIEW_BYTES = 4096
LONGEST_NAME = 120
LARGEST_PARAMS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that is in the ledger once its transaction is committed: what to answer, and which bell to ring."""

    answer: JobAccepted
    queue: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks. An admin who says so sees everybody's jobs, all others their own; only an admin sees stack traces."""

    user_id: UUID
    everyone: bool = False
    admin: bool = False

    @property
    def owner_id(self) -> UUID | None:
        return None if self.everyone else self.user_id


def job_prefix(owner_id: UUID, job_id: UUID) -> str:
    """Where all objects of a job are."""
    return f"jobs/{owner_id}/{job_id}/"


def attempt_prefix(owner_id: UUID, job_id: UUID, attempt: int) -> str:
    """Where one attempt writes, and no other."""
    return f"{job_prefix(owner_id, job_id)}attempt-{attempt}/"


def input_key(owner_id: UUID, job_id: UUID, role: str, filename: str) -> str:
    """Where an uploaded input is stored; the name is cut down to what every store and shell can bear."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", filename).lstrip(".")[-LONGEST_NAME:] or "file"
    return f"{job_prefix(owner_id, job_id)}inputs/{role}/{name}"


def new_job_id() -> UUID:
    """A fresh id; ids sort by the time they were made (UUIDv7, RFC 9562)."""
    return uuids.uuid7()


async def submit(
    session: AsyncSession,
    registry: Registry,
    owner_id: UUID,
    submission: JobSubmission,
    *,
    job_id: UUID | None = None,
    uploaded: Mapping[str, NewArtifact] | None = None,
    budget: Decimal | None = None,
) -> Accepted:
    """Enter a job into the ledger, with files just `uploaded` for it and files referred to by key.

    Raises Invalid for an unknown processor, parameters, roles or files that do not fit, or a key that is not the
    owner's, TooLarge for a file that is larger than the processor takes, and OverBudget for metered work of an owner
    who has spent this month's budget; `budget` is that of owners who have none of their own.
    """
    uploaded = uploaded or {}
    job = draft(registry, owner_id, submission, [*submission.inputs, *uploaded], job_id or new_job_id())
    referred = await artifacts.owned(session, owner_id, list(submission.inputs.values()))
    for role, key in submission.inputs.items():
        if key not in referred:
            raise Invalid(f"{role}: there is no stored file of yours under {key!r}.")
    check_files(registry.get(submission.processor), {role: referred[key] for role, key in submission.inputs.items()})
    check_files(registry.get(submission.processor), uploaded)
    if submission.processor in registry.metered:
        await usage.check_budget(session, owner_id, budget)
    payload = submission.inputs | {role: artifact.storage_key for role, artifact in uploaded.items()}
    job.payload = dump_json(payload)
    await commands.submit(session, [job])
    await artifacts.register(session, owner_id, list(uploaded.values()))
    linked = {role: referred[key].id for role, key in submission.inputs.items()}
    linked |= {role: artifact.id for role, artifact in uploaded.items()}
    await reading.link(session, job.id, "input", 0, linked)
    return Accepted(JobAccepted(job_id=job.id, status=Status.PENDING, payload=payload), job.queue)


async def submit_without_files(
    intake: Intake, registry: Registry, owner_id: UUID, submission: JobSubmission
) -> Accepted:
    """Enter a job that reads no files, and answer once that is committed. Raises Invalid as `submit`."""
    job = draft(registry, owner_id, submission, (), new_job_id())
    await intake.enter(job)
    return Accepted(JobAccepted(job_id=job.id, status=Status.PENDING, payload={}), job.queue)


def draft(
    registry: Registry, owner_id: UUID, submission: JobSubmission, roles: Sequence[str], job_id: UUID
) -> commands.NewJob:
    """The job that a submission asks for, its parameters checked and complete.

    Raises Invalid for an unknown processor, parameters or roles that do not fit.
    """
    processor = registry.get(submission.processor)
    params = parse_params(processor, submission.params)
    check_inputs(processor, roles)
    return commands.NewJob(
        id=job_id,
        owner_id=owner_id,
        processor=processor.name,
        params=_params_text(params),
        payload=dump_json(submission.inputs),
        queue=processor.queue,
        priority=submission.priority,
        max_attempts=submission.max_attempts or processor.retry.max_attempts,
        time_limit=processor.time_limit,
        available_at=submission.available_at,
        trace=tracing.current(),
    )


async def list_jobs(
    session: AsyncSession,
    reader: Reader,
    *,
    status: Status | None = None,
    processor: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> JobPage:
    """A page of the reader's jobs, newest first; raises Invalid for a cursor that is not one of ours."""
    found = await reading.page(
        session,
        owner_id=reader.owner_id,
        status=status,
        processor=processor,
        after=_parse_cursor(cursor),
        limit=limit,
    )
    items = [JobSummary.model_validate(job) for job in found.jobs]
    return JobPage(items=items, next_cursor=str(found.cursor) if found.cursor else None)


async def get(
    session: Executor,
    blobs: BlobStore,
    reader: Reader,
    job_id: UUID,
    *,
    max_result_bytes: int,
    lease: timedelta,
    metered: Collection[str] = (),
) -> JobView:
    """One job with its result, or why it waits; raises NotFound when it is not there or not the reader's.

    Results above `max_result_bytes` are shown as a preview; a worker silent for longer than `lease` doesn't count. Of
    jobs of `metered` processors it is told what they have spent.
    """
    job = await reading.look(session, job_id, reader.owner_id)
    if job is None:
        raise NotFound("There is no such job.")
    view = JobView.model_validate(job)
    if job.status == Status.COMPLETED:
        view.result_content = await _result(blobs, job, max_result_bytes)
    elif job.status == Status.PENDING:
        view.waiting = await queues.why_waiting(session, job, lease)
    if reader.admin and job.error is not None:
        view.traceback = await tracebacks.look(session, job_id, job.fingerprint)
    if job.processor in metered:
        view.usage = await usage.of_job(session, job_id)
    return view


async def events(session: AsyncSession, reader: Reader, job_id: UUID, after: int, limit: int) -> EventPage:
    """What happened to a job, in order, past event number `after`."""
    await _visible(session, reader, job_id)
    found = await reading.events(session, job_id, after, limit + 1)
    items = [EventView.model_validate(event) for event in found[:limit]]
    return EventPage(items=items, next_after=items[-1].seq if len(found) > limit else None)


async def cancel(session: AsyncSession, reader: Reader, job_id: UUID) -> JobSummary:
    """Cancel a waiting job at once, or ask the worker of a running one to stop; twice is as good as once.

    Raises Conflict when the job has ended otherwise.
    """
    await _visible(session, reader, job_id)
    if not await commands.cancel(session, [job_id]):
        job = await _visible(session, reader, job_id)
        if job.status in FINAL and job.status != Status.CANCELLED:
            raise Conflict(f"The job is {job.status} already: there is nothing left to cancel.")
    return await _summary(session, reader, job_id)


async def retry(session: AsyncSession, registry: Registry, reader: Reader, job_id: UUID) -> JobSummary:
    """Put a FAILED or CANCELLED job back in line, with the attempts its processor grants; else raises Conflict."""
    job = await _visible(session, reader, job_id)
    if not await commands.retry(session, granted_attempts(registry, {job_id: job.processor})):
        raise Conflict(f"The job is {job.status}: only a FAILED or CANCELLED job can be retried.")
    return await _summary(session, reader, job_id)


def granted_attempts(registry: Registry, jobs: Mapping[UUID, str]) -> dict[UUID, int]:
    """How many attempts a retry grants each job, by its processor's policy; one for a processor that is gone."""
    attempts = {processor.name: processor.retry.max_attempts for processor in registry}
    return {job_id: attempts.get(processor, 1) for job_id, processor in jobs.items()}


async def delete(session: AsyncSession, reader: Reader, job_id: UUID) -> None:
    """Delete a job that has ended, its history, and its files unless another job uses them; else raises Conflict."""
    job = await _visible(session, reader, job_id)
    linked = [artifact.id for _link, artifact in await reading.artifacts(session, job_id)]
    if not await reading.delete_final(session, job_id):
        raise Conflict(f"The job is {job.status}: cancel it first, then delete it.")
    await artifacts.remove(session, await reading.unlinked(session, linked))


async def list_artifacts(session: AsyncSession, reader: Reader, job_id: UUID) -> list[ArtifactView]:
    """A job's inputs and outputs."""
    await _visible(session, reader, job_id)
    return [
        ArtifactView(
            id=artifact.id,
            direction=link.direction,
            role=link.role,
            attempt=link.attempt,
            storage_key=artifact.storage_key,
            filename=artifact.filename,
            media_type=artifact.media_type,
            size=artifact.size,
            sha256=artifact.sha256,
            created_at=artifact.created_at,
        )
        for link, artifact in await reading.artifacts(session, job_id)
    ]


async def artifact(session: AsyncSession, reader: Reader, job_id: UUID, artifact_id: UUID) -> ArtifactView:
    """One artifact of a job; raises NotFound."""
    for view in await list_artifacts(session, reader, job_id):
        if view.id == artifact_id:
            return view
    raise NotFound("This job has no such artifact.")


def _params_text(params: BaseModel) -> str:
    """Parameters as JSON; raises Invalid when they are too large, or hold what no JSON can carry on."""
    try:
        written = params.model_dump_json()
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        raise Invalid(f"The parameters can't be stored: {error}.") from None
    if len(written) > LARGEST_PARAMS:
        raise Invalid("The parameters are larger than a mebibyte: hand over a file instead.")
    return written


async def _visible(session: AsyncSession, reader: Reader, job_id: UUID) -> Job:
    job = await reading.get(session, job_id, reader.owner_id)
    if job is None:
        raise NotFound("There is no such job.")
    return job


async def _summary(session: AsyncSession, reader: Reader, job_id: UUID) -> JobSummary:
    session.expire_all()
    return JobSummary.model_validate(await _visible(session, reader, job_id))


async def _result(blobs: BlobStore, job: JobRow, limit: int) -> Any:
    if job.result_path is None or job.result is not None:
        return job.result
    try:
        return orjson.loads(await blobs.get(job.result_path, limit))
    except TooLarge:
        size, start = await blobs.head(job.result_path, PREVIEW_BYTES)
        return {"truncated": True, "size": size, "preview": start.decode(errors="replace")}


def _parse_cursor(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise Invalid("The cursor is not one that a page of jobs gave.") from None


async def link_outputs(
    session: AsyncSession, owner_id: UUID, job_id: UUID, attempt: int, written: Sequence[NewArtifact]
) -> None:
    """Register what the winning attempt wrote, by name."""
    await artifacts.register(session, owner_id, list(written))
    await reading.link(session, job_id, "output", attempt, {item.filename: item.id for item in written})
