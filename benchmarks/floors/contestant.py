"""Floors (a) and (b) as contestants: a Celery worker with two processes, and one submitter."""

from pathlib import Path

from benchmarks.contestants import BATCH_SECONDS, PROCESSES, Contestant
from benchmarks.floors.counter import Counter
from benchmarks.floors.table import make_table
from benchmarks.ground import VALKEY, Broker, Ground
from benchmarks.processes import Group, Process, Submitted

# Found by `--tune`. The pool is fair as it is: `-O fair` is Celery's default.
PREFETCH = 256


class CeleryFloor(Contestant):
    """Floors (a) and (b), on one broker."""

    def __init__(self, ground: Ground, jobs: int, broker: Broker, *, recorded: bool, prefetch: int = PREFETCH) -> None:
        super().__init__(ground, jobs)
        self.broker = broker
        self.prefetch = prefetch
        self.key = f"{'celery_rows' if recorded else 'celery_bare'}_{broker.name}"
        self.title = f"Celery, {'hand-written rows' if recorded else 'no record'} ({broker.title})"
        self.database = "floor_b" if recorded else None
        self.open_jobs = "SELECT EXISTS (SELECT 1 FROM jobs WHERE status <> 'COMPLETED')"
        self.done_jobs = "SELECT count(*) FROM jobs WHERE status = 'COMPLETED'"
        self.queue = f"helixbench.{self.key}"
        self._submitted = 0

    def _begin(self, processes: Group) -> None:
        counter = self.ground.folder / f"{self.key}.count"
        counter.unlink(missing_ok=True)
        self._counter = Counter(counter)
        self._submitted = 0
        environment = self.environment(counter)
        log = self.ground.log(self.key)
        command = self.ground.python("celery", "--app", "benchmarks.floors.celery_app", "worker")
        command += ["--loglevel", "WARNING"]
        command += ["--concurrency", str(PROCESSES), "--queues", self.queue]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        worker = processes.add(Process(command, environment, log))
        self._submitter = processes.add(
            Process(self.ground.python("benchmarks.floors.submit"), environment, log, talks=True)
        )
        worker.wait_for(lambda: self._counter.get(0), "the Celery worker is ready")
        self._submitter.wait_ready()

    def environment(self, counter: Path) -> dict[str, str]:
        values = {
            "BENCH_BROKER_URL": self.broker.url,
            "BENCH_QUEUE": self.queue,
            "BENCH_COUNTER": str(counter),
            "BENCH_PREFETCH": str(self.prefetch),
        }
        if self.database is not None:
            values["BENCH_DATABASE_URL"] = make_table(self.ground.fresh_database(self.database))
        return self.ground.environment(**values)

    def submit(self, count: int) -> Submitted:
        self._submitted += count
        return self._submitter.submit(count, BATCH_SECONDS)

    def is_done(self) -> bool:
        return super().is_done() if self.database is not None else self.done() >= self._submitted

    def done(self) -> int:
        return super().done() if self.database is not None else self._counter.total()

    def _clean(self) -> None:
        self.broker.forget([self.queue])
        if self.broker.name == VALKEY:
            self.ground.flush_valkey()
