"""The rules for commanding all jobs that match a filter, and for running jobs anew."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.errors import Invalid, NotFound
from helixnet.jobs import service
from helixnet.jobs.schemas import JobAccepted, JobSelection, Matched
from helixnet.jobs.service import Reader
from helixnet.jobs.states import FINAL, Status
from helixnet.jobs.store import commands, reading, selections
from helixnet.jobs.store.selections import Filter, Found, Replayed
from helixnet.metrics import catalog
from helixnet.processors.registry import Registry

ALIVE = tuple(status for status in Status if status not in FINAL)


@dataclass(frozen=True, slots=True)
class Commanded:
    """What a command did, whose jobs it concerned, and which bells to ring."""

    answer: Matched
    owners: frozenset[UUID]
    queues: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AcceptedReplay:
    """A replay that is in the ledger once its transaction is committed, and whose it is."""

    answer: JobAccepted
    owner_id: UUID
    queue: str


async def cancel(session: AsyncSession, reader: Reader, selection: JobSelection) -> Commanded:
    """Cancel every matching job that has not ended. Raises Invalid."""
    found, cursor = await selections.matching(session, reader.owner_id, _filter(selection, ALIVE))
    concerned = await commands.cancel(session, [job.id for job in found])
    return Commanded(_matched(len(concerned), cursor), _owners(found, concerned))


async def retry(session: AsyncSession, registry: Registry, reader: Reader, selection: JobSelection) -> Commanded:
    """Put matching FAILED and CANCELLED jobs back in line. Raises Invalid."""
    states = (Status.FAILED, Status.CANCELLED)
    found, cursor = await selections.matching(session, reader.owner_id, _filter(selection, states))
    attempts = service.granted_attempts(registry, {job.id: job.processor for job in found})
    queues = await commands.retry(session, attempts)
    return Commanded(_matched(len(queues), cursor), _owners(found, queues), frozenset(queues.values()))


async def replay(session: AsyncSession, registry: Registry, reader: Reader, selection: JobSelection) -> Commanded:
    """Run matching jobs that have ended anew, as new jobs.

    Raises Invalid when the processor of one is no longer there, and enters none.
    """
    found, cursor = await selections.matching(session, reader.owner_id, _filter(selection, tuple(FINAL)))
    entered = await _anew(session, registry, found)
    owners, queues = {job.owner_id for job in entered}, {job.queue for job in entered}
    return Commanded(_matched(len(entered), cursor), frozenset(owners), frozenset(queues))


async def replay_one(session: AsyncSession, registry: Registry, reader: Reader, job_id: UUID) -> AcceptedReplay:
    """Run a job anew, whatever its state, as a new job of its owner.

    Raises NotFound, and Invalid when its processor is no longer there.
    """
    job = await reading.get(session, job_id, reader.owner_id)
    entered = await _anew(session, registry, [Found(job.id, job.owner_id, job.processor)]) if job is not None else []
    if job is None or not entered:
        raise NotFound("There is no such job.")
    answer = JobAccepted(job_id=entered[0].id, status=Status.PENDING, payload=job.payload)
    return AcceptedReplay(answer, job.owner_id, entered[0].queue)


async def _anew(session: AsyncSession, registry: Registry, jobs: Sequence[Found]) -> list[Replayed]:
    for processor in {job.processor for job in jobs}:
        registry.get(processor)
    # The older jobs go first again.
    anew = {job.id: service.new_job_id() for job in sorted(jobs)}
    attempts = service.granted_attempts(registry, {job.id: job.processor for job in jobs})
    entered = await selections.replay(session, anew, attempts) if anew else []
    for job in entered:
        catalog.JOBS_SUBMITTED.add(1, job.queue)
    return entered


def _owners(found: Iterable[Found], concerned: Iterable[UUID]) -> frozenset[UUID]:
    changed = set(concerned)
    return frozenset(job.owner_id for job in found if job.id in changed)


def _matched(count: int, cursor: UUID | None) -> Matched:
    return Matched(count=count, more=cursor is not None, next_cursor=cursor)


def _filter(selection: JobSelection, states: tuple[Status, ...]) -> Filter:
    chosen = states if selection.status is None else tuple(status for status in states if status == selection.status)
    if not chosen:
        raise Invalid(
            f"Jobs that are {selection.status} can't be commanded so; those that are {', '.join(states)} can."
        )
    return Filter(
        states=_of_a_kind(selection, chosen),
        before=selection.cursor,
        **selection.model_dump(exclude={"status", "cursor"}),
    )


def _of_a_kind(selection: JobSelection, states: tuple[Status, ...]) -> tuple[Status, ...]:
    """A kind of failure is looked for among FAILED jobs, where an index knows it."""
    return (Status.FAILED,) if selection.fingerprint is not None and Status.FAILED in states else states
