"""What a worker counts of its jobs: once for each slice, so that a small job costs next to nothing more."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from helixnet.jobs.states import Status
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.metrics import catalog
from helixnet.worker.attempt import Ended

# The kinds that `worker/failure.py` and processors in their own processes give; anything else is a bug of ours.
KINDS = frozenset({"input", "limit", "upstream", "worker_lost", "bug"})


def claimed(queue: str, jobs: Sequence[ClaimedJob]) -> None:
    """A slice was claimed."""
    catalog.JOBS_CLAIMED.add(len(jobs), queue)
    catalog.WAIT_SECONDS.observe_all([job.waited_seconds for job in jobs], queue)


def recorded(outcomes: Sequence[Ended], states: Mapping[UUID, Status]) -> None:
    """Outcomes were written down; `states` has the jobs' new states, without those that had been given up."""
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for ended in outcomes:
        job = ended.job
        outcome = _outcome(ended, states.get(job.id))
        counts[job.queue, job.processor, outcome] += 1
        if ended.seconds:
            seconds[job.queue, job.processor].append(ended.seconds)
        if ended.settled.error is not None and outcome != "given_up":
            _failed(ended, outcome)
    for labels, count in counts.items():
        catalog.ATTEMPTS.add(count, *labels)
    for ran, some in seconds.items():
        catalog.ATTEMPT_SECONDS.observe_all(some, *ran)


def unrecorded(outcomes: Sequence[Ended]) -> None:
    """Outcomes could not be written down."""
    catalog.UNRECORDED.add(len(outcomes))


def _outcome(ended: Ended, state: Status | None) -> str:
    if state is None:
        return "given_up"
    if state is Status.PENDING:
        return "retried" if ended.settled.counts else "handed_back"
    return state.lower()


def _failed(ended: Ended, outcome: str) -> None:
    kind = str((ended.settled.error or {}).get("kind"))
    kind = kind if kind in KINDS else "bug"
    catalog.FAILURES.add(1, ended.job.processor, kind)
    if outcome == "retried":
        catalog.RETRIES.add(1, ended.job.processor, kind)
