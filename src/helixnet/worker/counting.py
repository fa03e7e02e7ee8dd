"""What a worker counts of its jobs: once for each slice, so that a small job costs next to nothing more."""

from collections import defaultdict
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
    for outcome in ("confirmed", "unanswered", "lease_lost"):
        catalog.HEARTBEATS.add(0, outcome)


def claimed(queue: str, jobs: Sequence[ClaimedJob]) -> None:
    """A slice was claimed."""
    catalog.JOBS_CLAIMED.add(len(jobs), queue)
    catalog.WAIT_SECONDS.observe_all([job.waited_seconds for job in jobs], queue)


def recorded(outcomes: Sequence[tuple[Ended, Status | None]]) -> None:
    """Outcomes were written down, each with its job's new state, or None when the attempt had been given up."""
    alike: dict[tuple[str, str, Status | None, bool], list[Ended]] = defaultdict(list)
    for ended, state in outcomes:
        job = ended.job
        alike[job.queue, job.processor, state, ended.settled.counts].append(ended)
    for (queue, processor, state, counts), some in alike.items():
        outcome = _outcome(state, counts=counts)
        catalog.ATTEMPTS.add(len(some), queue, processor, outcome)
        catalog.ATTEMPT_SECONDS.observe_all([ended.seconds for ended in some if ended.seconds], queue, processor)
        if state is not None and state is not Status.COMPLETED:
            for ended in some:
                _failed(ended, outcome)


def unrecorded(outcomes: Sequence[Ended]) -> None:
    """Outcomes could not be written down."""
    catalog.UNRECORDED.add(len(outcomes))


def _outcome(state: Status | None, *, counts: bool) -> str:
    if state is None:
        return "given_up"
    if state is Status.PENDING:
        return "retried" if counts else "handed_back"
    return state.lower()


def _failed(ended: Ended, outcome: str) -> None:
    if ended.settled.error is None:
        return  # cancelled, or handed back
    kind = str(ended.settled.error.get("kind"))
    kind = kind if kind in KINDS else "bug"
    catalog.FAILURES.add(1, ended.job.processor, kind)
    if outcome == "retried":
        catalog.RETRIES.add(1, ended.job.processor, kind)
