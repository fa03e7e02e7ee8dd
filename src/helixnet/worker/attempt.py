"""One attempt at one job: run its processor, store what it made, and say how it ended."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel

from helixnet import log, tracing
from helixnet.artifacts import service as artifacts
from helixnet.artifacts.service import NewArtifact
from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.jobs.states import Status
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.jobs.store.transitions import Settled
from helixnet.processors.base import Processor, RetryPolicy
from helixnet.processors.registry import Registry, parse_params
from helixnet.worker import calling, failure, spans
from helixnet.worker.context import RunContext
from helixnet.worker.failure import Failure
from helixnet.worker.inputs import LedgerAway
from helixnet.worker.isolation.run import Isolation
from helixnet.worker.metering import LedgerMeter, OwnersAnswers

# Results of jobs without files stay in the row up to this size; larger ones, and those of jobs with files, are objects.
RESULT_IN_ROW_BYTES = 8 * 1024

logger = log.logger("helix.worker")


class StopReason(StrEnum):
    CANCELLED = "cancelled"
    TIME_LIMIT = "time limit"
    LEASE_LOST = "lease lost"
    SHUTDOWN = "worker shutting down"
    LEDGER_AWAY = "the database did not answer"


@dataclass(frozen=True, slots=True)
class Resources:
    """What the attempts of one process share."""

    settings: Settings
    database: Database
    blobs: BlobStore
    hints: Hints
    registry: Registry
    isolation: Isolation


# Not frozen: making one would take four times as long, for every job.
@dataclass(slots=True)
class Ended:
    """An attempt that is over, and has yet to be recorded; never changed.

    `written` is what the job gets if it counts; `stored` says whether anything may lie in storage because of it;
    `trace` is the attempt's span.
    """

    job: ClaimedJob
    settled: Settled
    seconds: float = 0.0
    written: list[NewArtifact] = field(default_factory=list)
    stored: bool = False
    trace: bytes | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    result: bytes
    result_path: str | None


Outcome = Completed | Failure | StopReason


class Attempt:
    """Runs a claimed job to its end."""

    def __init__(self, job: ClaimedJob, resources: Resources) -> None:
        self.job = job
        self._resources = resources
        self._policy = RetryPolicy()
        self._context: RunContext | None = None
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

    async def run(self) -> Ended:
        """Run it, and say how it ended."""
        if tracing.on and self.job.trace is not None:
            with spans.attempt(self.job) as span:
                ended = await self._run()
                spans.ended(span, ended.settled)
                return ended
        return await self._run()

    async def _run(self) -> Ended:
        job = self.job
        logger.info(
            "Job [%s] status updated to IN_PROGRESS.",
            job.id,
            job_id=job.id,
            attempt=job.attempt,
            processor=job.processor,
        )
        settled = self._settled(await self._outcome())
        context = self._context
        return Ended(
            job,
            settled,
            seconds=self.age(),
            written=context.written if context is not None and settled.status is Status.COMPLETED else [],
            stored=context is not None and context.stored,
            trace=tracing.current() if tracing.on else None,
        )

    async def _outcome(self) -> Outcome:
        # A task of its own: it can be cancelled, and what it sets in its context ends with it.
        self._work = asyncio.create_task(self._process())
        if self._stop_reason is not None:
            self._work.cancel()
        limit = self._loop.call_later(self.job.time_limit.total_seconds(), self.stop, StopReason.TIME_LIMIT)
        try:
            return await self._work
        except asyncio.CancelledError:
            return self._stop_reason or self._failed(RuntimeError("The processor cancelled itself."))
        except LedgerAway:
            return StopReason.LEDGER_AWAY
        except Exception as error:  # noqa: BLE001 - whatever a processor raises is an outcome
            return self._stop_reason or self._failed(error)
        finally:
            limit.cancel()
            if self._context is not None:
                await self._context.close()

    async def _process(self) -> Completed:
        job, resources = self.job, self._resources
        log.bind(job_id=job.id, attempt=job.attempt)
        processor = resources.registry.get(job.processor)
        self._policy = processor.retry
        params = parse_params(processor, job.params)
        context = self._context = RunContext(job, resources.database, resources.blobs, resources.hints)
        if processor.metered:
            meter = context.meter = LedgerMeter(job, resources.database, resources.settings.budget)
            context.answers = OwnersAnswers(job.owner_id, resources.database)
            await meter.check()
        await context.open_inputs()
        logger.info("🎬 Starting processing with %s...", processor.name, version=processor.version)
        result = calling.to_json(await self._call(processor, context, params))
        if not job.payload and not context.written and len(result) <= RESULT_IN_ROW_BYTES:
            return Completed(result, None)
        key = f"{context.prefix}result.json"
        logger.info("⬆️ Uploading result artifact to storage: %s", key, size=len(result))
        context.stored = True
        context.written.append(await artifacts.put(resources.blobs, key, result, "result.json", "application/json"))
        return Completed(result, key)

    async def _call(self, processor: Processor, context: RunContext, params: BaseModel) -> object:
        if tracing.on and self.job.trace is not None:
            with spans.processing(processor):
                return await calling.call(processor, context, params, self._resources.isolation)
        return await calling.call(processor, context, params, self._resources.isolation)

    def _failed(self, error: BaseException) -> Failure:
        failed = failure.failed(error, self.job.processor)
        if failed.error["kind"] == "bug":
            job = self.job
            logger.error(
                "Job [%s] its processor failed.", job.id, job_id=job.id, attempt=job.attempt, exception=failed.trace
            )
        return failed

    def _settled(self, outcome: Outcome) -> Settled:
        """What to write down. A job that may be tried again is PENDING; the ledger knows whether attempts are left."""
        job = self.job
        match outcome:
            case Completed(result, path):
                small = result if len(result) <= RESULT_IN_ROW_BYTES else None
                return Settled(id=job.id, attempt=job.attempt, status=Status.COMPLETED, result_path=path, result=small)
            case StopReason.CANCELLED:
                return Settled(id=job.id, attempt=job.attempt, status=Status.CANCELLED)
            case StopReason.LEASE_LOST | StopReason.SHUTDOWN | StopReason.LEDGER_AWAY:
                return handed_back(job, str(outcome))
            case StopReason.TIME_LIMIT:
                return self._after_failure(failure.time_limit(job.time_limit, job.processor))
            case Failure():
                return self._after_failure(outcome)

    def _after_failure(self, failed: Failure) -> Settled:
        hopeless = failed.final or (failed.error["kind"] == "limit" and not self._policy.again_after_limit)
        again = Status.FAILED if hopeless else Status.PENDING
        return Settled(
            id=self.job.id,
            attempt=self.job.attempt,
            status=again,
            error=failed.error,
            fingerprint=failed.fingerprint,
            reason="attempt failed",
            # Of what the user has to mend, the words say all there is to know.
            traceback=failed.trace if failed.error["kind"] != "input" and failed.trace else None,
            delay=failed.retry_after if failed.retry_after is not None else backoff(self._policy, self.job.attempt),
        )


def handed_back(job: ClaimedJob, reason: str) -> Settled:
    """An attempt that doesn't count: the job goes back in line for whoever comes next."""
    return Settled(id=job.id, attempt=job.attempt, status=Status.PENDING, reason=reason, counts=False)


def backoff(policy: RetryPolicy, attempt: int) -> timedelta:
    """The wait before the next attempt: exponential with jitter, at least half of the exponential value.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("equal jitter").
    """
    ceiling: timedelta = min(policy.first * 2 ** min(attempt - 1, 30), policy.longest)
    return random.uniform(0.5, 1) * ceiling  # noqa: S311 - spreads load, guards nothing
