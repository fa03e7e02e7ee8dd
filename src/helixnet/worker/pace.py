"""How long jobs take here: moving averages that say how many fill a slice."""

from collections import defaultdict
from collections.abc import Sequence

from helixnet.jobs.store.claims import ClaimedJob, Slice
from helixnet.jobs.store.lines import Lines

SLICE_SECONDS = 0.2
MOST_JOBS = 100
WEIGHT_OF_NEW = 0.2
# A job may run this many times longer than its like before those behind it go to somebody else.
PATIENCE = 10
SHORTEST_PATIENCE_SECONDS = 0.05


class Pace:
    """What one worker process has seen, which has one version of each processor: a new version starts anew."""

    def __init__(self) -> None:
        self._costs: dict[str, float] = {}
        self._queues: dict[str, float] = {}
        self._limits: dict[str, int] = {}
        self._lines: dict[str, Lines] = defaultdict(Lines)

    @property
    def of_queues(self) -> dict[str, float]:
        """Queue → seconds that a job of it takes this process, everything included."""
        return dict(self._queues)

    def next_slice(self, queue: str) -> Slice:
        """What to claim next from a queue: one job at first, then as many as the last ones say."""
        return Slice(
            limit=self._limits.get(queue, 1),
            seconds=SLICE_SECONDS,
            costs=self._costs,
            lines=self._lines[queue],
        )

    def ran(self, processor: str, seconds: float) -> None:
        """A job of this processor took so long."""
        self._costs[processor] = _average(self._costs.get(processor), seconds)

    def finished(self, queue: str, jobs: Sequence[ClaimedJob], seconds: float) -> None:
        """A slice of the queue took so long, from its claim to its end."""
        self._queues[queue] = _average(self._queues.get(queue), seconds / len(jobs))
        work = sum(self._costs.get(job.processor, SLICE_SECONDS) for job in jobs) / len(jobs)
        self._limits[queue] = max(1, min(MOST_JOBS, int(SLICE_SECONDS / max(work, 1e-9))))

    def patience(self, processor: str) -> float:
        """Seconds that a job may run before those behind it are handed back."""
        return max(SHORTEST_PATIENCE_SECONDS, PATIENCE * self._costs.get(processor, 0.0))


def _average(before: float | None, value: float) -> float:
    return value if before is None else before + WEIGHT_OF_NEW * (value - before)
