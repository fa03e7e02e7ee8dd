"""Writing down how attempts ended: many in one transaction, and again until the database has it."""

import time
from collections.abc import Sequence
from uuid import UUID

import stamina
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError

from helixnet import log, tracing
from helixnet.artifacts import service as artifacts
from helixnet.db import Database
from helixnet.jobs import service as jobs
from helixnet.jobs.states import Status
from helixnet.jobs.store import claims, tracebacks, transitions
from helixnet.jobs.store.transitions import Settled
from helixnet.worker import counting, spans
from helixnet.worker.attempt import Ended

RECORDING_SECONDS = 60
# A worker's statements take milliseconds: after this time the connection is dead, and another may not be.
ANSWER_SECONDS = 15

logger = log.logger("helix.worker")


class NotRecorded(Exception):
    """Outcomes could not be written down: their jobs must be left to the reaper."""


async def record(database: Database, outcomes: Sequence[Ended]) -> None:
    """Write the outcomes down and tell of them; a database that is away is waited for, up to a minute.

    Raises NotRecorded.
    """
    if not outcomes:
        return
    begun_ns = time.time_ns()
    try:
        states = await _write_at_last(database, outcomes)
    except (SQLAlchemyError, OSError) as error:
        if _is_our_mistake(error) and not _is_unstorable(outcomes):
            # One of them can't be written as it is: it shall not keep the others from it.
            for ended in outcomes:
                await record(database, [ended if len(outcomes) > 1 else _unstorable(ended)])
            return
        counting.unrecorded(outcomes)
        raise NotRecorded(f"{len(outcomes)} outcomes could not be recorded") from error
    known = [(ended, states.get(ended.job.id)) for ended in outcomes]
    counting.recorded(known)
    if tracing.on:
        spans.finished([(ended.trace, state) for ended, state in known], begun_ns)
    for ended, state in known:
        _tell(ended, state)


async def hand_back_unheard(database: Database, worker_id: UUID) -> None:
    """Hand back what the ledger says a process runs that runs nothing: the answer to a claim was lost on its way.

    Raises SQLAlchemyError.
    """
    async with database.connection() as connection:
        unheard = [
            Settled(id=job_id, attempt=attempt, status=Status.PENDING, reason="claim not heard of", counts=False)
            for job_id, attempt in await claims.held(connection, worker_id)
        ]
        await transitions.settle(connection, unheard)
    if unheard:
        logger.info("jobs whose claim was not heard of are handed back", jobs=len(unheard))


async def _write_at_last(database: Database, outcomes: Sequence[Ended]) -> dict[UUID, Status]:
    """As `_write`, tried again for up to a minute."""
    try:
        return await _write(database, outcomes)  # as nearly always; to prepare for more costs a tenth of it
    except (SQLAlchemyError, OSError) as error:
        if not worth_another_try(error):
            raise
    states: dict[UUID, Status] = {}
    async for trial in stamina.retry_context(
        on=worth_another_try, attempts=None, timeout=RECORDING_SECONDS, wait_max=5
    ):
        with trial:
            states = await _write(database, outcomes)
    return states


async def _write(database: Database, outcomes: Sequence[Ended]) -> dict[UUID, Status]:
    """One transaction for all; answers the new states of the jobs whose attempts had not been given up."""
    settled = [ended.settled for ended in outcomes]
    if not any(ended.stored or ended.settled.traceback for ended in outcomes):
        async with database.connection() as connection:
            return await transitions.settle(connection, settled)
    async with database.transaction() as session:
        states = await transitions.settle(session, settled)
        for ended in outcomes:
            job = ended.job
            if ended.written and states.get(job.id) is Status.COMPLETED:
                await jobs.link_outputs(session, job.owner_id, job.id, job.attempt, ended.written)
            elif ended.stored:
                # What an attempt stored without success has no row: have it looked for later.
                await artifacts.announce(session, jobs.attempt_prefix(job.owner_id, job.id, job.attempt))
        await tracebacks.keep(session, [one for one in settled if one.traceback and one.id in states])
        return states


UNSTORABLE = {"kind": "bug", "message": "The outcome of this job could not be stored."}


def _unstorable(ended: Ended) -> Ended:
    """What is written in the place of an outcome that PostgreSQL refuses."""
    job = ended.job
    failed = Settled(id=job.id, attempt=job.attempt, status=Status.FAILED, error=UNSTORABLE)
    return Ended(job, failed, stored=ended.stored)


def _is_unstorable(outcomes: Sequence[Ended]) -> bool:
    return all(ended.settled.error is UNSTORABLE for ended in outcomes)


def _tell(ended: Ended, status: Status | None) -> None:
    job, settled = ended.job, ended.settled
    if status is Status.COMPLETED:
        logger.info(
            "✨ Job [%s] completed and final status saved.",
            job.id,
            seconds=round(ended.seconds, 3),
            job_id=job.id,
            attempt=job.attempt,
            **_of_trace(ended),
        )
        return
    about: dict[str, object] = {"job_id": job.id, "attempt": job.attempt, **_of_trace(ended)}
    if status is None:
        logger.warning("Job [%s] attempt %s was given up meanwhile: nothing recorded.", job.id, job.attempt, **about)
    else:
        reason = settled.error["message"] if settled.error else settled.reason or "asked for by the user"
        logger.warning("Job [%s] status updated to %s.", job.id, status, reason=reason, **about)


NO_TRACE: dict[str, str] = {}


def _of_trace(ended: Ended) -> dict[str, str]:
    """The field of its trace: a slice's outcomes are told together, outside of the attempts' spans."""
    return {"trace_id": tracing.trace_id(ended.trace)} if ended.trace is not None else NO_TRACE


def worth_another_try(error: Exception) -> bool:
    """Whether the database may answer next time: it was away, or chose this transaction to break a tie."""
    return isinstance(error, OSError) or (isinstance(error, SQLAlchemyError) and not _is_our_mistake(error))


def _is_our_mistake(error: Exception) -> bool:
    """Whether the statement or its values are at fault: they stay wrong however often they are tried."""
    return isinstance(error, DataError | IntegrityError | ProgrammingError)
