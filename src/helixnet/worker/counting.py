"""What a worker counts of its jobs: once for each slice, so that a small job costs next to nothing more."""

from collections.abc import Iterable, Sequence

from helixnet.jobs.states import Status
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.metrics import catalog
from helixnet.processors.registry import Registry
from helixnet.worker.attempt import Ended

# The kinds that `worker/failure.py` and processors in their own processes give; anything else is a bug of ours.
KINDS = frozenset({"input", "limit", "upstream", "worker_lost", "bug"})


def begin(processors: Registry, queues: Iterable[str]) -> None:
    """Begin to count at zero: what first appears with its first failure would not be seen to have grown."""
    catalog.UNRECORDED.add(0)
    for processor in processors:
        for kind in KINDS:
            catalog.FAILURES.add(0, processor.name, kind)
            catalog.RETRIES.add(0, processor.name, kind)
        for outcome in ("completed", "failed"):
            catalog.ATTEMPTS.add(0, processor.queue, processor.name, outcome)
    for queue in queues:
        for outcome in ("work", "spare"):
            catalog.RINGS_HEARD.add(0, queue, outcome)
            catalog.LOOKS.add(0, queue, outcome)
    for outcome in ("confirmed", "unanswered", "lease_lost"):
        catalog.HEARTBEATS.add(0, outcome)


def claimed(queue: str, jobs: Sequence[ClaimedJob]) -> None:
    """A slice was claimed."""
    catalog.JOBS_CLAIMED.add(len(jobs), queue)
    catalog.WAIT_SECONDS.observe_all([job.waited_seconds for job in jobs], queue)


def recorded(outcomes: Sequence[tuple[Ended, Status | None]]) -> None:
    """Outcomes were written down, each with its job's new state, or None when the attempt had been given up."""
    completed: dict[tuple[str, str], list[float]] = {}
    for ended, state in outcomes:
        job = ended.job
        if state is Status.COMPLETED:
            alike = completed.get(labels := (job.queue, job.processor))
            if alike is None:
                alike = completed[labels] = []
            alike.append(ended.seconds)
        else:
            _otherwise(ended, state)
    for labels, seconds in completed.items():
        catalog.ATTEMPTS.add(len(seconds), *labels, "completed")
        catalog.ATTEMPT_SECONDS.observe_all(seconds, *labels)


def unrecorded(outcomes: Sequence[Ended]) -> None:
    """Outcomes could not be written down."""
    catalog.UNRECORDED.add(len(outcomes))


def _otherwise(ended: Ended, state: Status | None) -> None:
    """Count an attempt that did not complete its job."""
    job, error = ended.job, ended.settled.error
    if state is None:
        outcome = "given_up"
    elif state is Status.PENDING:
        outcome = "retried" if ended.settled.counts else "handed_back"
    else:
        outcome = state.lower()
    catalog.ATTEMPTS.add(1, job.queue, job.processor, outcome)
    if ended.seconds:  # one that was never started took none
        catalog.ATTEMPT_SECONDS.observe(ended.seconds, job.queue, job.processor)
    if error is None or state is None:
        return
    kind = str(error.get("kind"))
    kind = kind if kind in KINDS else "bug"
    catalog.FAILURES.add(1, job.processor, kind)
    if outcome == "retried":
        catalog.RETRIES.add(1, job.processor, kind)
