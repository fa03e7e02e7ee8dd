"""What it costs to run a job in a process of its own: a processor that does nothing, isolated and inline."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from benchmarks.figures import LESS, Ratio, Section
from benchmarks.ground import Broker, Ground
from benchmarks.measure.options import Options
from helixnet.local.context import LocalContext
from helixnet.processors import JobContext, Processor
from helixnet.processors.base import NoParams
from helixnet.worker.isolation.run import Isolation

ALLOWED_MS = 30.0
# A worker claims and records between two jobs; meanwhile the next process is made.
PAUSE_SECONDS = 0.05
WARM_UP = 3


async def nothing(_context: JobContext, _params: NoParams) -> None:
    """Do nothing."""


NOTHING = Processor(name="bench.nothing", version="1", description="Does nothing.", run=nothing, isolation="process")


def context() -> LocalContext:
    """The context of a job without files, which writes nothing."""
    return LocalContext({}, Path(), lambda _event: None)


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """Each way in turn, so that a disturbance hits them all; the median of a run's starts."""
    del ground, broker  # nobody else has a part in it
    section = Section(
        "isolation",
        "Start of an isolated job",
        "From the call of a processor that does nothing to its result and the end of its process, behind all walls "
        f"that the kernel has. Its target is {ALLOWED_MS:g} ms more than the same inline. The floors are a bare fork "
        "of the measuring process, and a fresh Python that does nothing, both waited for.",
        better=LESS,
    )
    for key, title in (
        ("inline", "inline"),
        ("fork", "a bare fork"),
        ("python", "a fresh Python"),
        ("isolated", "isolated, one after another with a pause"),
        ("at_once", "isolated, one after another at once"),
        ("beyond", "isolated beyond inline"),
        ("allowed", "what that may be"),
    ):
        section.add(key, title, "ms")
    section.ratios += [
        Ratio("beyond", "allowed", f"beyond inline, to {ALLOWED_MS:g} ms", LESS, 1),
        Ratio("isolated", "fork", "isolated, to a bare fork", LESS),
        Ratio("isolated", "python", "isolated, to a fresh Python", LESS),
    ]
    for _ in range(options.runs):
        for key, value in asyncio.run(_starts(options.isolated_starts)).items():
            section.get(key).values.append(value)
    return [section]


async def _starts(count: int) -> dict[str, float]:
    """Milliseconds by way."""
    isolation = Isolation()
    await isolation.prepare(NOTHING)
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "inline": lambda: nothing(context(), NoParams()),
        "fork": _fork,
        "python": _python,
        "isolated": lambda: isolation.run(NOTHING, context(), NoParams()),
    }
    took: dict[str, list[float]] = {key: [] for key in (*ways, "at_once")}
    try:
        for number in range(WARM_UP + count):
            for key, way in ways.items():
                await asyncio.sleep(PAUSE_SECONDS)
                milliseconds = await _timed(way)
                if number >= WARM_UP:
                    took[key].append(milliseconds)
        took["at_once"] = [await _timed(ways["isolated"]) for _ in range(count)]
    finally:
        await isolation.close()
    medians = {key: median(values) for key, values in took.items()}
    return medians | {"beyond": medians["isolated"] - medians["inline"], "allowed": ALLOWED_MS}


async def _timed(way: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await way()
    return (time.perf_counter() - start) * 1000


async def _fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)  # noqa: ASYNC222 - as below


async def _python() -> None:
    subprocess.run([sys.executable, "-I", "-c", ""], check=True)  # noqa: ASYNC221 - nothing else is to run meanwhile
