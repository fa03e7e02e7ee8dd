"""`table.query` on a large CSV against plain DuckDB on the same file, and the memory that it takes."""

import asyncio
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

import psutil

from benchmarks.figures import LESS, Ratio, Section
from benchmarks.floors import duck
from benchmarks.ground import Broker, Ground
from benchmarks.measure.options import Options
from benchmarks.processes import ROOT, BenchmarkError
from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.processors.table import QUERY
from helixnet.processors.table.results import QueryParams
from helixnet.worker.isolation.run import Isolation

LIMIT = 1.3
MEGABYTE = 1_000_000
LOOK_SECONDS = 0.05
QUERIES = {
    "groups": (
        "sums of 20,000 groups",
        "SELECT region, product, count(*) AS sales, sum(amount) AS revenue FROM content GROUP BY ALL",
    ),
    "filter": (
        "one row in 20",
        "SELECT id, sold_at, customer, amount FROM content WHERE quantity = 7",
    ),
}


@dataclass(frozen=True)
class Stored:
    """An input as the worker has it: an object of a local store, or a small one at hand."""

    place: Path
    media_type = "text/plain"
    sha256 = ""

    @property
    def key(self) -> str:
        return self.place.name

    @property
    def filename(self) -> str:
        return self.place.name

    @property
    def size(self) -> int:
        return self.place.stat().st_size

    @property
    def stands_at(self) -> Path:
        return self.place

    async def read(self, limit: int) -> bytes:
        assert self.size <= limit
        return self.place.read_bytes()

    async def stream(self) -> AsyncIterator[bytes]:
        yield self.place.read_bytes()

    async def path(self) -> Path:
        return self.place


@dataclass
class Context:
    """What the isolated process asks of its worker, with the artifacts in a local store."""

    blobs: BlobStore
    inputs: dict[str, Stored]
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False

    async def progress(self, fraction: float, message: str = "") -> None: ...
    async def log(self, message: str, **fields: object) -> None: ...
    async def output(self, text: str) -> None: ...

    async def write(self, name: str, content: bytes | AsyncIterator[bytes], _media_type: str = "") -> str:
        await self.blobs.put(f"{self.job_id}/{name}", content)
        return name


class Peak:
    """The most memory that any process below this one had in use while the block ran, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "python" in process.name():
                        self.bytes = max(self.bytes, process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """The isolated attempt, from its start to the stored artifact, against DuckDB's own time, both in turns."""
    del broker  # neither rings
    size = f"{options.table_bytes / MEGABYTE:,.0f} MB"
    speed = Section(
        "table",
        f"table.query on a CSV of {size}",
        "The floor is plain DuckDB without limits or locks, without the start of its program: a view over the file, "
        "and its rows as Parquet. HelixNet starts an isolated process, recognises the file, checks the SQL, and "
        "stores the artifact.",
        better=LESS,
    )
    memory = Section("table_memory", f"Memory for {size}", "Of the isolated process, at most.", better=LESS)
    for key, (title, _sql) in QUERIES.items():
        speed.add(f"{key}_floor", f"DuckDB, {title}", "s")
        speed.add(f"{key}_helixnet", f"table.query, {title}", "s")
        limit = LIMIT if options.table_bytes >= Options().table_bytes else None  # a small one is all start
        speed.ratios.append(Ratio(f"{key}_helixnet", f"{key}_floor", f"{title}, to plain DuckDB", LESS, limit))
        memory.add(key, f"table.query, {title}", "MB")
    path = ground.folder / "table.csv"
    duck.make(path, options.table_bytes)
    asyncio.run(_measure(ground, options, path, speed, memory))
    path.unlink()
    return [speed, memory]


async def _measure(ground: Ground, options: Options, path: Path, speed: Section, memory: Section) -> None:
    blobs = BlobStore(Settings(storage_url=(ground.folder / "tables").as_uri()))
    isolation = Isolation()
    await isolation.prepare(QUERY)
    try:
        for number in range(options.runs):
            for key, (_title, sql) in QUERIES.items():
                contestants = [
                    lambda sql=sql: _floor(ground, path, sql),
                    lambda sql=sql: _helixnet(isolation, blobs, path, sql),
                ]
                names = ["floor", "helixnet"]
                for place in (0, 1) if number % 2 else (1, 0):
                    with Peak() as peak:
                        speed.get(f"{key}_{names[place]}").values.append(await contestants[place]())
                    if names[place] == "helixnet":
                        memory.get(key).values.append(peak.bytes / MEGABYTE)
    finally:
        await isolation.close()


async def _floor(ground: Ground, path: Path, sql: str) -> float:
    command = [*ground.python("benchmarks.floors.duck"), str(path), str(ground.folder / "floor.parquet"), sql]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"plain DuckDB failed: {done.stderr}")
    return float(done.stdout)


async def _helixnet(isolation: Isolation, blobs: BlobStore, path: Path, sql: str) -> float:
    asked = path.with_name("context.sql")
    asked.write_text(sql)
    context = Context(blobs, {"content_key": Stored(path), "context_key": Stored(asked)})
    start = time.perf_counter()
    await isolation.run(QUERY, context, QueryParams())  # type: ignore[arg-type]
    return time.perf_counter() - start
