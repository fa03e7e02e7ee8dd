"""From the command to the first job done, with an empty home and once more with the home that it made."""

import asyncio
import shutil
import signal
import time
from pathlib import Path

import orjson

from benchmarks import helix, wire
from benchmarks.contestants import wait_done
from benchmarks.figures import LESS, Ratio, Section
from benchmarks.floors.contestant import CeleryFloor
from benchmarks.ground import VALKEY, Broker, Ground
from benchmarks.ground import ground as another_ground
from benchmarks.measure.options import Options
from benchmarks.measure.submission import BODY
from benchmarks.processes import BenchmarkError, Process

READY = b"HelixNet is ready at"
LONGEST_SECONDS = 60.0
TIMES = {"first": "first start", "again": "started again"}


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """`helix up` against the floor: PostgreSQL, Valkey and a Celery worker with a table, started by hand."""
    del broker  # both bring servers of their own
    section = Section(
        "start",
        "Start-up to the first job done",
        "Each starts its own PostgreSQL and Valkey. HelixNet also migrates, hashes the passwords of four accounts, and "
        "serves an API and a dashboard; the floor is a table, a Celery worker and a script that sends a task.",
        better=LESS,
    )
    times = dict(list(TIMES.items())[: 2 if options.start_again else 1])
    for when, title in times.items():
        section.add(f"floor_{when}", f"Celery, hand-written rows, {title}", "s")
        section.add(f"helixnet_{when}", f"`helix up`, {title}", "s")
        section.ratios.append(Ratio(f"helixnet_{when}", f"floor_{when}", f"{title}, to its floor", LESS))
    for number in range(options.runs):
        for key, start in (("floor", _floor), ("helixnet", _helixnet)):
            home = ground.folder / f"start{number}"
            home.mkdir(mode=0o711)
            for when in times:
                section.get(f"{key}_{when}").values.append(start(ground, home))
            shutil.rmtree(home)
    return [section]


def _floor(_ground: Ground, home: Path) -> float:
    start = time.monotonic()
    with another_ground(home, rabbitmq=False) as own:
        broker = own.broker(VALKEY)
        assert broker is not None
        floor = CeleryFloor(own, 1, broker, recorded=True)
        floor.start()
        try:
            floor.submit(1)
            end = wait_done(floor, LONGEST_SECONDS)
        finally:
            floor.stop()
    if end is None:
        raise BenchmarkError("the floor's first job was not done in its time")
    return end - start


def _helixnet(ground: Ground, home: Path) -> float:
    port = helix.free_port()
    log = ground.log("helix_up")
    log.unlink(missing_ok=True)
    command = ground.python("helixnet", "up", "--home", str(home), "--port", str(port))
    start = time.monotonic()
    process = Process(command, ground.environment(HELIX_LOG_LEVEL="WARNING"), log)
    try:
        process.wait_for(lambda: READY in log.read_bytes(), "HelixNet is ready")
        wire.run(lambda: _first_job(port))
        return time.monotonic() - start
    finally:
        process.stop(signal.SIGINT)


async def _first_job(port: int) -> None:
    headers = wire.bearer(await wire.sign_in(port))
    connection = await wire.Connection.open(port)
    accepted = await connection.ask(
        wire.request("POST", "/api/v1/jobs", BODY, Content_Type="application/json", **headers), 201
    )
    show = wire.request("GET", f"/api/v1/jobs/{orjson.loads(accepted)['job_id']}", **headers)
    async with asyncio.timeout(LONGEST_SECONDS):
        while orjson.loads(await connection.ask(show))["status"] != "COMPLETED":  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.01)
    await connection.close()
