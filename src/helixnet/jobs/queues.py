"""The rules of queues: pause, resume, limits, and why a job waits."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Executor
from helixnet.errors import NotFound
from helixnet.jobs.schemas import QueueChange, QueueView, Waiting
from helixnet.jobs.store import queues
from helixnet.jobs.store.queues import CAP, Ahead, Serving, Standing
from helixnet.jobs.store.reading import JobRow


async def list_queues(session: AsyncSession, lease: timedelta) -> list[QueueView]:
    """Every queue that has had a job. `lease`: silence after which a worker process doesn't count."""
    return [_view(standing) for standing in await queues.standing(session, lease)]


async def pause(session: AsyncSession, name: str, lease: timedelta, *, paused: bool) -> QueueView:
    """Stop claims from a queue, or let them go on; what runs is left alone. Raises NotFound."""
    return await _change(session, name, lease, paused=paused)


async def limit(session: AsyncSession, name: str, lease: timedelta, change: QueueChange) -> QueueView:
    """Set or take away limits of a queue. Raises NotFound."""
    return await _change(session, name, lease, **change.model_dump(exclude_unset=True))


async def why_waiting(session: Executor, job: JobRow, lease: timedelta) -> Waiting:
    """What holds a PENDING job, how many go before it, and when it is likely to start."""
    serving = await queues.serving(session, job.queue, job.owner_id, lease)
    if serving is None:
        raise NotFound("There is no such queue.")
    ahead = await queues.ahead(session, job)
    reason, message, limit, running = _reason(job, serving, ahead)
    seconds = None if reason in {"paused", "no_worker"} or ahead.capped else _seconds_to_start(serving, ahead)
    start = max(serving.now + timedelta(seconds=seconds), job.available_at) if seconds is not None else None
    return Waiting.model_validate(
        {
            "reason": reason,
            "message": message,
            "ahead": ahead.jobs,
            "ahead_is_capped": ahead.capped,
            "workers": serving.workers,
            "limit": limit,
            "running": running,
            "estimated_start": start,
            "estimated_from": _pace(serving) if start is not None else None,
        }
    )


def _reason(job: JobRow, serving: Serving, ahead: Ahead) -> tuple[str, str, int | None, int | None]:
    """The first thing that holds the job, in words, with the limit and how much of it is used."""
    if serving.paused:
        return "paused", f"The queue {job.queue} is paused: nothing in it starts until it is resumed.", None, None
    if serving.workers == 0:
        return "no_worker", f"No worker serves the queue {job.queue} at the moment.", None, None
    if job.available_at > serving.now:
        return "start_time", f"It is not to start before {job.available_at:%Y-%m-%d %H:%M:%S} UTC.", None, None
    whole, each = serving.running_limit, serving.owner_running_limit
    if whole is not None and serving.running >= whole:
        message = f"The queue {job.queue} may run {_jobs(whole)} at once, and {serving.running} run."
        return "queue_limit", message, whole, serving.running
    if each is not None and serving.running_own >= each:
        message = f"In the queue {job.queue} each owner may run {_jobs(each)} at once; yours run already."
        return "owner_limit", message, each, serving.running_own
    before = f"{_jobs(ahead.jobs)} {'goes' if ahead.jobs == 1 else 'go'}"
    before = f"at least {before}" if ahead.capped else before
    serves = "serves" if serving.workers == 1 else "serve"
    return "in_line", f"{before[0].upper()}{before[1:]} before it; {_workers(serving)} {serves} the queue.", None, None


def _seconds_to_start(serving: Serving, ahead: Ahead) -> float | None:
    """How long until so many of the jobs before it have ended that its turn comes; None when nobody can say.

    Who finds a place free needs to wait for none. Under a limit fewer workers work than there are, and the job waits
    for the slower of the two: the queue as a whole, or its own owner's line.
    """
    rate, workers = serving.jobs_per_second, serving.workers
    if not rate:
        return None
    waits = [_wait(ahead.jobs, workers - serving.busy, rate)]
    for limit, running, before in (
        (serving.running_limit, serving.running, ahead.jobs),
        (serving.owner_running_limit, serving.running_own, ahead.own),
    ):
        if limit == 0:
            return None
        if limit is not None:
            waits.append(_wait(before, limit - running, rate * min(1.0, limit / workers)))
    return max(waits)


def _wait(before: int, free: int, rate: float) -> float:
    """Seconds until a job that has so many `before` it gets a place, with so many places free."""
    return max(0, before + 1 - max(0, free)) / rate


def _pace(serving: Serving) -> str:
    """How a start was estimated, in words."""
    rate = serving.jobs_per_second or 0.0
    pace = f"{rate:.3g} jobs a second" if rate >= 1 else f"a job in {1 / rate:.3g} seconds"
    return f"By the last jobs of the queue {_workers(serving)} can do about {pace}."


def _workers(serving: Serving) -> str:
    return "1 worker process" if serving.workers == 1 else f"{serving.workers} worker processes"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


async def _change(session: AsyncSession, name: str, lease: timedelta, **values: object) -> QueueView:
    known = await queues.change(session, name, **values) if values else await queues.exists(session, name)
    if not known:
        raise NotFound("There is no such queue: a queue is made by its first job.")
    (standing,) = await queues.standing(session, lease, name)
    return _view(standing)


def _view(standing: Standing) -> QueueView:
    return QueueView(
        name=standing.name,
        paused=standing.paused,
        running_limit=standing.running_limit,
        owner_running_limit=standing.owner_running_limit,
        waiting=min(standing.waiting, CAP),
        waiting_is_capped=standing.waiting > CAP,
        running=standing.running,
        workers=standing.workers,
        oldest_waiting_seconds=standing.oldest_seconds,
    )
