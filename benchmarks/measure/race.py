"""The race: durable no-op jobs in a second, from the first submission until all are COMPLETED; and their bytes."""

from dataclasses import dataclass

from benchmarks.contestants import BATCH_SECONDS, Contestant, wait_done
from benchmarks.figures import LESS, MORE, Ratio, Section
from benchmarks.floors.contestant import CeleryFloor
from benchmarks.ground import BROKER_NAMES, Broker, Ground
from benchmarks.helix_contestant import HelixNet
from benchmarks.measure.options import Options
from benchmarks.peers.contestants import Peer, peers
from benchmarks.processes import BenchmarkError

BARE_LIMIT, ROWS_LIMIT = 4.0, 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """One batch of one contestant. The bytes are None for a contestant without a database."""

    jobs_per_second: float
    wal_bytes: float | None
    table_bytes: float | None


def measure(ground: Ground, options: Options, brokers: dict[str, Broker | None]) -> list[Section]:
    """All contestants in turn, as many rounds as there are runs, each round begun by another one."""
    rate = Section(
        "race",
        "Durable no-op jobs per second",
        "Batch-submitted, two worker processes, from the first submission until all are COMPLETED. HelixNet keeps "
        "everything on: history, fencing, fairness.",
    )
    size = Section(
        "bytes",
        "Database bytes written per job",
        "What PostgreSQL wrote to its log, and by how much the database grew, for each job of the race.",
        better=LESS,
    )
    contestants = _contestants(ground, options, brokers)
    for contestant in contestants:
        rate.add(contestant.key, contestant.title, "jobs/s")
        if contestant.database is not None:
            size.add(f"{contestant.key}_wal", f"{contestant.title}, log", "bytes")
            size.add(f"{contestant.key}_table", f"{contestant.title}, growth", "bytes")
    missing = [name for name, broker in brokers.items() if broker is None]
    for name in missing:
        rate.add(f"helixnet_{name}", f"HelixNet ({BROKER_NAMES[name]})", "jobs/s", _no_broker(name))
    if options.peers:
        for peer, why in Peer.not_installed(ground):
            rate.add(peer.key, peer.title, "jobs/s", why)
    for number in range(options.runs):
        turn = number % max(1, len(contestants))
        for contestant in contestants[turn:] + contestants[:turn]:
            _take(contestant, options, rate, size)
    for contestant in contestants:
        rate.notes.append(f"{contestant.title}: {contestant.jobs:,} jobs a run.")
    _compare(rate, size, brokers)
    return [rate, size]


def _contestants(ground: Ground, options: Options, brokers: dict[str, Broker | None]) -> list[Contestant]:
    chosen: list[Contestant] = []
    for broker in brokers.values():
        if broker is not None:
            chosen.append(CeleryFloor(ground, options.jobs["celery_bare"], broker, recorded=False))
            chosen.append(CeleryFloor(ground, options.jobs["celery_rows"], broker, recorded=True))
            chosen.append(HelixNet(ground, options.jobs["helixnet"], broker))
    return chosen + (peers(ground, options.jobs) if options.peers else [])


def _take(contestant: Contestant, options: Options, rate: Section, size: Section) -> None:
    """One run; what goes wrong is told in the report, and the others go on."""
    series = rate.get(contestant.key)
    try:
        run = _run(contestant, options)
    except (BenchmarkError, OSError) as error:
        series.note = f"a run failed: {str(error).strip().splitlines()[-1][:100]}"
        rate.notes.append(f"{contestant.title}: {error}")
        return
    series.values.append(run.jobs_per_second)
    if run.wal_bytes is not None and run.table_bytes is not None:
        size.get(f"{contestant.key}_wal").values.append(run.wal_bytes)
        size.get(f"{contestant.key}_table").values.append(run.table_bytes)


def _run(contestant: Contestant, options: Options) -> Run:
    contestant.start()
    try:
        contestant.submit(min(options.warm_up, contestant.jobs))
        if wait_done(contestant, BATCH_SECONDS) is None:
            raise BenchmarkError("the first few jobs were not done in their time")
        contestant.ground.checkpoint()
        done = contestant.done()
        wal, size = (contestant.wal_position(), contestant.database_size()) if contestant.database else (0, 0)
        submitted = contestant.submit(contestant.jobs)
        ended = wait_done(contestant, BATCH_SECONDS)
        count = contestant.done() - done
        if ended is None or count != contestant.jobs:
            raise BenchmarkError(f"{count} of {contestant.jobs} jobs were done after {BATCH_SECONDS:g} s")
        return Run(
            count / (ended - submitted.first),
            (contestant.wal_position() - wal) / count if contestant.database else None,
            (contestant.database_size() - size) / count if contestant.database else None,
        )
    finally:
        contestant.stop()


def _compare(rate: Section, size: Section, brokers: dict[str, Broker | None]) -> None:
    for name, broker in brokers.items():
        if broker is None:
            continue
        title, helixnet = BROKER_NAMES[name], f"helixnet_{name}"
        rate.ratios.append(Ratio(helixnet, f"celery_rows_{name}", f"{title}: to hand-written rows", MORE, ROWS_LIMIT))
        rate.ratios.append(Ratio(helixnet, f"celery_bare_{name}", f"{title}: to no record", MORE, BARE_LIMIT))
        for part, what in (("wal", "log"), ("table", "growth")):
            size.ratios.append(
                Ratio(
                    f"{helixnet}_{part}", f"celery_rows_{name}_{part}", f"{title}: {what}, to hand-written rows", LESS
                )
            )
    first = next((name for name, broker in brokers.items() if broker is not None), None)
    for series in rate.series:
        if first is not None and not series.key.startswith(("helixnet", "celery")):
            rate.ratios.append(Ratio(f"helixnet_{first}", series.key, f"{BROKER_NAMES[first]}: to {series.title}"))


def _no_broker(name: str) -> str:
    return f"not measured: no {BROKER_NAMES[name]}"
