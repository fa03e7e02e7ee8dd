"""One attempt at one job: run its processor, store what it made, record how it ended."""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import orjson
import stamina
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from helixnet import log
from helixnet.artifacts import service as artifacts
from helixnet.artifacts.service import NewArtifact
from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.errors import HelixError
from helixnet.hints import Hints
from helixnet.jobs import service as jobs
from helixnet.jobs.states import Status
from helixnet.jobs.store import transitions
from helixnet.jobs.store.transitions import ClaimedJob
from helixnet.processors.base import Processor, Reject, Retry, RetryPolicy
from helixnet.processors.registry import Registry, parse_params
from helixnet.worker.context import RunContext, open_inputs, storable

# Results of jobs without files stay in the row up to this size; larger ones, and those of jobs with files, are objects.
RESULT_IN_ROW_BYTES = 8 * 1024
RECORDING_SECONDS = 60

logger = log.logger("helix.worker")


class NotRecorded(Exception):
    """The outcome of an attempt could not be written down: the job must be left to the reaper."""


class StopReason(StrEnum):
    CANCELLED = "cancelled"
    TIME_LIMIT = "time limit"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "worker shutting down"


@dataclass(frozen=True, slots=True)
class Resources:
    """What the attempts of one process share."""

    settings: Settings
    database: Database
    blobs: BlobStore
    hints: Hints
    registry: Registry


@dataclass(frozen=True, slots=True)
class Completed:
    result: bytes
    result_path: str | None
    written: list[NewArtifact]


@dataclass(frozen=True, slots=True)
class Failed:
    """`retry_after` None: by policy. `final`: no attempt can change it."""

    error: dict[str, Any]
    final: bool = False
    retry_after: timedelta | None = None


Outcome = Completed | Failed | StopReason


class Attempt:
    """Runs a claimed job to its outcome, and records it unless the attempt was given up meanwhile."""

    def __init__(self, job: ClaimedJob, resources: Resources) -> None:
        self.job = job
        self._resources = resources
        self._prefix = jobs.attempt_prefix(job.owner_id, job.id, job.attempt)
        self._policy = RetryPolicy()
        self._loop = asyncio.get_running_loop()
        self._work: asyncio.Task[Completed] | None = None
        self._begun = time.monotonic()
        self._stop_reason: StopReason | None = None
        self._stopped_at = 0.0

    def age(self) -> float:
        """Seconds since the attempt began."""
        return time.monotonic() - self._begun

    def stopped_for(self) -> float:
        """Seconds since the attempt was told to stop or ran over its time limit; 0 when neither is so."""
        if self._stop_reason is not None:
            return time.monotonic() - self._stopped_at
        return max(0.0, self.age() - self.job.time_limit.total_seconds())

    @property
    def stopped(self) -> bool:
        """Whether the attempt was told to stop."""
        return self._stop_reason is not None

    def stop(self, reason: StopReason) -> None:
        """Tell the attempt to stop; the first reason counts. May be called from any thread."""
        if self._stop_reason is None:
            self._stop_reason = reason
            self._stopped_at = time.monotonic()
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()

    async def run(self) -> None:
        job = self.job
        logger.info(f"Job [{job.id}] status updated to IN_PROGRESS.", attempt=job.attempt, processor=job.processor)
        self._resources.hints.publish(job.owner_id)
        outcome = await self._outcome()
        await self._record(outcome)
        self._resources.hints.publish(job.owner_id)

    async def _outcome(self) -> Outcome:
        self._work = asyncio.create_task(self._process())
        if self._stop_reason is not None:
            self._work.cancel()
        done, _ = await asyncio.wait({self._work}, timeout=self.job.time_limit.total_seconds())
        if not done:
            self.stop(StopReason.TIME_LIMIT)
            await asyncio.wait({self._work})
        if self._work.cancelled():
            return self._stop_reason or _failure(RuntimeError("The processor cancelled itself."))
        error = self._work.exception()
        if error is None:
            return self._work.result()
        return self._stop_reason or _failure(error)

    async def _process(self) -> Completed:
        job, resources = self.job, self._resources
        processor = resources.registry.get(job.processor)
        self._policy = processor.retry
        params = parse_params(processor, job.params)
        context = RunContext(job, resources.database, resources.blobs, resources.hints, self._prefix)
        context.inputs = await open_inputs(job, resources.database, resources.blobs)
        logger.info(f"🎬 Starting processing with {processor.name}...", version=processor.version)
        result = _to_json(await _call(processor, context, params))
        if not job.payload and not context.written and len(result) <= RESULT_IN_ROW_BYTES:
            return Completed(result, None, [])
        key = f"{self._prefix}result.json"
        logger.info(f"⬆️ Uploading result artifact to storage: {key}", size=len(result))
        stored = await artifacts.put(resources.blobs, key, result, "result.json", "application/json")
        return Completed(result, key, [*context.written, stored])

    async def _record(self, outcome: Outcome) -> None:
        """Write the outcome down; a database that is away is waited for, up to a minute."""
        status: Status | None = None
        try:
            async for trial in stamina.retry_context(
                on=_worth_another_try, attempts=None, timeout=RECORDING_SECONDS, wait_max=5
            ):
                with trial:
                    status = await self._write(outcome)
        except (SQLAlchemyError, OSError) as error:
            raise NotRecorded(f"Job [{self.job.id}] outcome could not be recorded") from error
        self._tell(outcome, status)

    async def _write(self, outcome: Outcome) -> Status | None:
        """One transaction for the outcome; answers the job's new state, or None when the attempt was given up."""
        job = self.job
        async with self._resources.database.transaction() as session:
            status: Status | None
            match outcome:
                case Completed(result, path, written):
                    small = result.decode() if len(result) <= RESULT_IN_ROW_BYTES else None
                    done = await transitions.finish(
                        session, job.id, job.attempt, Status.COMPLETED, result_path=path, result=small
                    )
                    if done:
                        await jobs.link_outputs(session, job.owner_id, job.id, job.attempt, written)
                        return Status.COMPLETED
                    status = None
                case Failed():
                    status = await self._write_failure(session, outcome)
                case StopReason.CANCELLED:
                    done = await transitions.finish(session, job.id, job.attempt, Status.CANCELLED)
                    status = Status.CANCELLED if done else None
                case StopReason.TIME_LIMIT:
                    status = await self._write_failure(session, Failed(_time_limit_error(job.time_limit)))
                case StopReason.LEASE_LOST | StopReason.SHUTDOWN:
                    done = await transitions.hand_back(session, job.id, job.attempt, str(outcome))
                    status = Status.PENDING if done else None
            # Whatever this attempt stored without success has no row: have it looked for later.
            await artifacts.announce(session, self._prefix)
            return status

    async def _write_failure(self, session: Any, failure: Failed) -> Status | None:
        job = self.job
        if not failure.final:
            delay = failure.retry_after or backoff(self._policy, job.attempt)
            if await transitions.retry_later(session, job.id, job.attempt, delay, "attempt failed", failure.error):
                return Status.PENDING
        done = await transitions.finish(session, job.id, job.attempt, Status.FAILED, error=failure.error)
        return Status.FAILED if done else None

    def _tell(self, outcome: Outcome, status: Status | None) -> None:
        job_id, attempt = self.job.id, self.job.attempt
        if status is None:
            logger.warning(f"Job [{job_id}] attempt {attempt} was given up meanwhile: nothing recorded.")
        elif status is Status.COMPLETED:
            logger.info(f"✨ Job [{job_id}] completed and final status saved.", seconds=round(self.age(), 3))
        else:
            error = outcome.error["message"] if isinstance(outcome, Failed) else str(outcome)
            logger.warning(f"Job [{job_id}] status updated to {status}.", attempt=attempt, reason=error)


def backoff(policy: RetryPolicy, attempt: int) -> timedelta:
    """The wait before the next attempt: exponential with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    ceiling: timedelta = min(policy.first * 2 ** min(attempt - 1, 30), policy.longest)
    return random.uniform(0.5, 1) * ceiling  # noqa: S311 - spreads load, guards nothing


async def _call(processor: Processor, context: RunContext, params: BaseModel) -> object:
    with log.bound(job_id=str(context.job_id), attempt=context.attempt):
        return await processor.run(context, params)


def _to_json(result: object) -> bytes:
    value = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
    return orjson.dumps(value)


def _failure(error: BaseException) -> Failed:
    match error:
        case Reject(reason=reason, details=details):
            return Failed(_error("input", reason, details), final=True)
        case Retry(reason=reason, after=after):
            return Failed(_error("upstream", reason), retry_after=after)
        case HelixError(message=message):
            return Failed(_error("input", message))
    logger.error("a processor failed", exc_info=error)
    return Failed(_error("bug", f"The processor failed: {type(error).__name__}: {error}"))


def _error(kind: str, message: str, details: dict[str, object] | None = None) -> dict[str, Any]:
    return {"kind": kind, "message": storable(message)} | (
        {"details": orjson.loads(orjson.dumps(details, default=str))} if details else {}
    )


def _time_limit_error(limit: timedelta) -> dict[str, Any]:
    return _error("limit", f"The work took longer than its time limit of {limit.total_seconds():g} s.")


def _worth_another_try(error: Exception) -> bool:
    """Whether the database may answer next time: it was away, or chose this transaction to break a tie."""
    return isinstance(error, OSError) or (isinstance(error, SQLAlchemyError) and not _is_our_mistake(error))


def _is_our_mistake(error: SQLAlchemyError) -> bool:
    state = getattr(getattr(error, "orig", None), "sqlstate", None) if isinstance(error, DBAPIError) else None
    # Classes 22 and 23 (data, integrity) and 42 (access rule, syntax) stay wrong however often they are tried.
    return state is not None and state[:2] in {"22", "23", "42"}
