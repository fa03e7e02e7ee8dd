"""What a job costs: processor time of each part, bytes written and bytes kept."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import psycopg

from benchmarks import helix, wire
from benchmarks.figures import LESS, Section
from benchmarks.ground import Broker, Ground
from benchmarks.measure.options import Options
from benchmarks.processes import Group, Process, group, wait_until

DATABASE = "helix_cost"
BATCH = 10_000
NO_OP = b'{"processor":"core.echo"}\n'
FILES = (
    b'--b\r\nContent-Disposition: form-data; name="content_key"; filename="a.txt"\r\n\r\n'
    + b"A job costs what its rows, its statements and its files cost. " * 64
    + b'\r\n--b\r\nContent-Disposition: form-data; name="context_key"; filename="b.txt"\r\n\r\nWhat does a job cost?'
    b"\r\n--b--\r\n"
)
PARTS = ("web", "worker", "postgres")
OPEN = "SELECT count(*) FROM jobs WHERE status IN ('PENDING', 'IN_PROGRESS')"
KEPT = "SELECT pg_total_relation_size('jobs') + pg_total_relation_size('job_events')"


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters at one moment: seconds of processor time by part, bytes of log and of tables."""

    processor: dict[str, float]
    log: float
    kept: float


@dataclass
class Meter:
    """A running HelixNet, and the counters of its parts."""

    connection: psycopg.Connection[tuple[float]]
    processes: dict[str, psutil.Process]

    def read(self) -> Reading:
        return Reading(
            {part: _seconds(process) for part, process in self.processes.items()},
            self._value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"),
            self._value(KEPT),
        )

    def wait_until_done(self) -> None:
        wait_until(lambda: not self._value(OPEN), "all jobs are done")

    def _value(self, question: str) -> float:
        row = self.connection.execute(question.encode()).fetchone()
        assert row is not None
        return float(row[0])


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """Jobs without work in batches, one by one, and jobs with two small files; each from its POST to COMPLETED."""
    section = Section(
        "cost",
        "What a job costs",
        "Processor time of web, worker and PostgreSQL, bytes of its log, and bytes that stay in the tables of jobs and "
        "events with their indexes, from POST to COMPLETED. A job with files analyzes four KiB of text.",
        better=LESS,
    )
    kinds: dict[str, tuple[str, Callable[[int, str, int], None], int]] = {
        "batch": ("no-op, in batches", _in_batches, options.cost_jobs),
        "single": ("no-op, one by one", _one_by_one, options.cost_jobs // 5),
        "files": ("with two files", _with_files, options.cost_jobs // 50),
    }
    for kind, (title, _submit, _count) in kinds.items():
        for part in PARTS:
            section.add(f"{kind}_{part}", f"{title}: {part}", "ms")
        section.add(f"{kind}_log", f"{title}: log", "bytes")
        section.add(f"{kind}_kept", f"{title}: tables", "bytes")
    for _ in range(options.runs):
        with group() as processes:
            _take(ground, processes, broker, section, kinds)
        broker.forget([helix.QUEUE])
        ground.drop_database(DATABASE)
    return [section]


def _take(
    ground: Ground,
    processes: Group,
    broker: Broker,
    section: Section,
    kinds: dict[str, tuple[str, Callable[[int, str, int], None], int]],
) -> None:
    url = helix.database(ground, DATABASE)
    environment = helix.environment(ground, url, broker)
    web, port = helix.start_web(ground, processes, environment, ground.log("helix_web"))
    helix.start_workers(ground, processes, environment, ground.log("helix_worker"))
    token = wire.run(lambda: wire.sign_in(port))
    with psycopg.connect(url, autocommit=True) as connection:
        meter = Meter(
            connection, {"web": _of(web), "worker": _of(processes.processes[-1]), "postgres": _server(ground)}
        )
        for kind, (_title, submit, count) in kinds.items():
            submit(port, token, max(1, count // 10))
            meter.wait_until_done()
            ground.checkpoint()
            before = meter.read()
            submit(port, token, count)
            meter.wait_until_done()
            after = meter.read()
            for part in PARTS:
                spent = after.processor[part] - before.processor[part]
                section.get(f"{kind}_{part}").values.append(spent / count * 1000)
            section.get(f"{kind}_log").values.append((after.log - before.log) / count)
            section.get(f"{kind}_kept").values.append((after.kept - before.kept) / count)


def _in_batches(port: int, token: str, count: int) -> None:
    async def submit() -> None:
        connection = await wire.Connection.open(port)
        for start in range(0, count, BATCH):
            body = NO_OP * min(BATCH, count - start)
            headers = {"Content_Type": "application/x-ndjson"} | wire.bearer(token)
            await connection.ask(wire.request("POST", "/api/v1/jobs/batch", body, **headers), 201)

    wire.run(submit)


def _one_by_one(port: int, token: str, count: int) -> None:
    headers = {"Content_Type": "application/json"} | wire.bearer(token)
    _ask_in_turn(port, wire.request("POST", "/api/v1/jobs", NO_OP, **headers), count)


def _with_files(port: int, token: str, count: int) -> None:
    headers = {"Content_Type": "multipart/form-data; boundary=b"} | wire.bearer(token)
    _ask_in_turn(port, wire.request("POST", "/api/v1/jobs/upload", FILES, **headers), count)


def _ask_in_turn(port: int, message: bytes, count: int) -> None:
    async def submit() -> None:
        connection = await wire.Connection.open(port)
        for _ in range(count):
            await connection.ask(message, 201)

    wire.run(submit)


def _of(process: Process) -> psutil.Process:
    return psutil.Process(process.pid)


def _server(ground: Ground) -> psutil.Process:
    return psutil.Process(int((ground.postgres.data / "postmaster.pid").read_text().partition("\n")[0]))


def _seconds(process: psutil.Process) -> float:
    """Processor time of a process and all below it, the ended ones with it."""
    total = 0.0
    for child in process.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended: its parent knows what it took
            total += _seconds(child)
    times = process.cpu_times()
    own: float = times.user + times.system + times.children_user + times.children_system
    return total + own
