"""Single submissions over HTTP: how many in a second, and how long each one takes."""

import socket

from benchmarks import helix, wire
from benchmarks.figures import LESS, MORE, Ratio, Section, percentile
from benchmarks.floors.table import make_table
from benchmarks.ground import Broker, Ground
from benchmarks.measure.options import Options
from benchmarks.processes import Group, Process, group, wait_until

BODY = b'{"processor": "core.echo", "params": {}}'
PERCENTILES = (50, 95, 99)


def start_floor(
    ground: Ground, processes: Group, broker: Broker, queue: str, database: str | None = None
) -> tuple[Process, int]:
    """The floor's web server, with an empty table or that of a database; answers its process and its port."""
    url = make_table(ground.fresh_database("floor_web")) if database is None else ground.postgres.url_of(database)
    environment = ground.environment(
        BENCH_DATABASE_URL=url,
        BENCH_BROKER_URL=broker.url,
        BENCH_QUEUE=queue,
        BENCH_COUNTER=str(ground.folder / f"{queue}.count"),
        BENCH_FOLDER=str(ground.folder),
    )
    port = helix.free_port()
    command = ground.python("benchmarks.floors.web", str(port))
    web = processes.add(Process(command, environment, ground.log("floor_web"), talks=True))
    web.wait_ready()
    # It says so a moment before it listens.
    wait_until(lambda: _listens(port), "the floor's web listens")
    return web, port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((wire.HOST, port)) == 0


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """The submission rate and its latencies: HelixNet's web alone, with its workers beside it, and the floor."""
    section = Section(
        "submission",
        "Single submissions over HTTP",
        f"{options.connections} connections, one request after the other on each. The floor is a FastAPI route that "
        "inserts one row; HelixNet signs its caller in, checks the parameters, writes job and event, and rings.",
    )
    latency = Section("submission_latency", "Latency of those submissions", "Under the same full load.", better=LESS)
    contestants = {
        "floor": ("FastAPI, one row", _floor),
        "helixnet": ("HelixNet, web alone", _helixnet),
        "helixnet_working": ("HelixNet, workers busy beside it", _helixnet_working),
    }
    for key, (title, _run) in contestants.items():
        section.add(key, title, "requests/s")
        for percent in PERCENTILES:
            latency.add(f"{key}_p{percent}", f"{title}, p{percent}", "ms")
    for _ in range(options.runs):
        for key, (_title, run) in contestants.items():
            latencies = run(ground, options, broker)
            section.get(key).values.append(len(latencies) / options.load_seconds)
            for percent in PERCENTILES:
                latency.get(f"{key}_p{percent}").values.append(percentile(latencies, percent) * 1000)
    section.ratios = [
        Ratio("helixnet", "floor", "HelixNet to its floor", MORE, 0.6),
        Ratio("helixnet_working", "floor", "with the workers busy beside it"),
    ]
    latency.ratios = [
        Ratio(f"helixnet_p{percent}", f"floor_p{percent}", f"p{percent} to its floor", LESS) for percent in PERCENTILES
    ]
    return [section, latency]


def _floor(ground: Ground, options: Options, broker: Broker) -> list[float]:
    with group() as processes:
        _web, port = start_floor(ground, processes, broker, "helixbench.web")
        latencies = _load(port, wire.request("POST", "/jobs", BODY, Content_Type="application/json"), options)
    ground.drop_database("floor_web")
    return latencies


def _helixnet(ground: Ground, options: Options, broker: Broker, *, workers: bool = False) -> list[float]:
    url = helix.database(ground, "helix_web")
    environment = helix.environment(ground, url, broker)
    with group() as processes:
        _web, port = helix.start_web(ground, processes, environment, ground.log("helix_web"))
        if workers:
            helix.start_workers(ground, processes, environment, ground.log("helix_worker"))
        token = wire.run(lambda: wire.sign_in(port))
        message = wire.request(
            "POST", "/api/v1/jobs", BODY, Content_Type="application/json", Authorization=f"Bearer {token}"
        )
        latencies = _load(port, message, options)
    broker.forget([helix.QUEUE])
    ground.drop_database("helix_web")
    return latencies


def _helixnet_working(ground: Ground, options: Options, broker: Broker) -> list[float]:
    return _helixnet(ground, options, broker, workers=True)


def _load(port: int, message: bytes, options: Options) -> list[float]:
    """A short warm-up, then the load."""
    wire.run(lambda: wire.load(port, message, connections=options.connections, seconds=options.load_seconds / 8))
    return wire.run(lambda: wire.load(port, message, connections=options.connections, seconds=options.load_seconds))
