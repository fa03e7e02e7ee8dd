"""How long a job takes on an idle system, from POST to the COMPLETED that its client sees."""

import asyncio
import time

import orjson

from benchmarks import helix, wire
from benchmarks.figures import LESS, Ratio, Section, percentile
from benchmarks.floors.contestant import CeleryFloor
from benchmarks.ground import BROKER_NAMES, Broker, Ground
from benchmarks.measure.options import Options
from benchmarks.measure.submission import BODY, start_floor
from benchmarks.processes import group

# A client of either side asks this often; half of it is in each latency on average.
ASK_SECONDS = 0.002
PAUSE_SECONDS = 0.05
LONGEST_SECONDS = 30.0
PERCENTILES = (50, 95)


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """HelixNet against floor (b) behind a FastAPI route, on one broker."""
    section = Section(
        f"latency_{broker.name}",
        f"From POST to COMPLETED, idle system, {broker.title}",
        f"One job at a time, {PAUSE_SECONDS * 1000:.0f} ms apart; the client asks for its state every "
        f"{ASK_SECONDS * 1000:.0f} ms. The floor: a FastAPI route that inserts a row and sends a Celery task, which "
        "writes the row's states.",
        better=LESS,
    )
    contestants = {"floor": ("Celery, hand-written rows", _floor), "helixnet": ("HelixNet", _helixnet)}
    for key, (title, _run) in contestants.items():
        for percent in PERCENTILES:
            section.add(f"{key}_p{percent}", f"{title}, p{percent}", "ms")
    for _ in range(options.runs):
        for key, (_title, run) in contestants.items():
            latencies = run(ground, options, broker)
            for percent in PERCENTILES:
                section.get(f"{key}_p{percent}").values.append(percentile(latencies, percent) * 1000)
    section.ratios = [
        Ratio("helixnet_p50", "floor_p50", "p50 to its floor", LESS, 2.5),
        Ratio("helixnet_p95", "floor_p95", "p95 to its floor", LESS),
    ]
    return [section]


def missing(name: str) -> Section:
    """What the report has for a broker that isn't there."""
    return Section(
        f"latency_{name}",
        f"From POST to COMPLETED, idle system, {BROKER_NAMES[name]}",
        f"Not measured: no {BROKER_NAMES[name]}.",
        better=LESS,
    )


def _floor(ground: Ground, options: Options, broker: Broker) -> list[float]:
    floor = CeleryFloor(ground, 0, broker, recorded=True)
    floor.start()
    try:
        with group() as processes:
            _web, port = start_floor(ground, processes, broker, floor.queue, floor.database)
            return _ask(port, "/tasks", "", options)
    finally:
        floor.stop()


def _helixnet(ground: Ground, options: Options, broker: Broker) -> list[float]:
    rings = helix.Rings(broker)
    url = helix.database(ground, "helix_latency")
    environment = helix.environment(ground, url, broker)
    try:
        with group() as processes:
            _web, port = helix.start_web(ground, processes, environment, ground.log("helix_web"))
            helix.start_workers(ground, processes, environment, ground.log("helix_worker"))
            token = wire.run(lambda: wire.sign_in(port))
            return _ask(port, "/api/v1/jobs", token, options)
    finally:
        rings.forget()
        ground.drop_database("helix_latency")


def _ask(port: int, path: str, token: str, options: Options) -> list[float]:
    """The latencies in seconds, after a few jobs to warm up."""

    async def run() -> list[float]:
        connection = await wire.Connection.open(port)
        latencies = [await _one(connection, path, token) for _ in range(options.latency_jobs + 5)]
        await connection.close()
        return latencies[5:]

    return wire.run(run)


async def _one(connection: wire.Connection, path: str, token: str) -> float:
    await asyncio.sleep(PAUSE_SECONDS)
    submit = wire.request("POST", path, BODY, Content_Type="application/json", **wire.bearer(token))
    start = time.perf_counter()
    job_id = orjson.loads(await connection.ask(submit, 201))["job_id"]
    show = wire.request("GET", f"{path}/{job_id}", **wire.bearer(token))
    while True:
        status = orjson.loads(await connection.ask(show))["status"]
        now = time.perf_counter() - start
        if status == "COMPLETED":
            return now
        if status in ("FAILED", "CANCELLED") or now > LONGEST_SECONDS:
            raise wire.Refused(f"a job is {status} after {now:.1f} s")
        await asyncio.sleep(ASK_SECONDS)
