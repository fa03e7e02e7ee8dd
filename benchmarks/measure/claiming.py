"""Claims: the 95th percentile of a claim's time while few and while very many jobs wait."""

import asyncio
import time
from uuid import UUID

import psycopg

from benchmarks import helix
from benchmarks.figures import LESS, Ratio, Section, percentile
from benchmarks.filling import fill_waiting
from benchmarks.ground import Broker, Ground
from benchmarks.measure.options import Options
from helixnet.db import Database
from helixnet.jobs.store import claims
from helixnet.jobs.store.lines import Lines

OWNERS = 20
QUEUE = "bench"
WORKER = UUID(int=1)
SLICES = {1: "one job", 100: "a slice of 100"}
LIMIT = 1.5
# While statements are prepared and pages read, nothing is counted.
WARM_UP = 6


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """`helixnet.jobs.store.claims.claim`, committed each, in two databases at hand at once."""
    del broker  # a claim asks nobody but the database
    section = Section(
        "claim",
        "A claim, p95",
        f"The statement that takes due jobs, as a worker makes it. {OWNERS} owners and three priorities wait, mixed; "
        "what is claimed is replaced. The floor is the same claim with few jobs waiting.",
        better=LESS,
    )
    sizes = {"few": options.few_waiting, "many": options.many_waiting}
    for limit, title in SLICES.items():
        for size, count in sizes.items():
            section.add(f"claim_{limit}_{size}", f"{title} of {count:,} waiting", "ms")
        section.ratios.append(Ratio(f"claim_{limit}_many", f"claim_{limit}_few", f"{title}, many to few", LESS, LIMIT))
    urls = {size: _fill(helix.database(ground, f"helix_claim_{size}"), count) for size, count in sizes.items()}
    ground.checkpoint()
    for _ in range(options.runs):
        for limit in SLICES:
            count = max(3, options.claims // (1 if limit == 1 else 4))
            for size, latencies in asyncio.run(_claims(urls, sizes, limit, count)).items():
                section.get(f"claim_{limit}_{size}").values.append(percentile(latencies, 95) * 1000)
    for size in sizes:
        ground.drop_database(f"helix_claim_{size}")
    return [section]


def _fill(url: str, count: int) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO queues (name) VALUES (%s)", [QUEUE])
        connection.execute(
            "INSERT INTO workers (id, node, host, pid, queues, heartbeat_at)"
            " VALUES (%s, 'bench', 'bench', 1, %s, 'infinity')",
            [WORKER, [QUEUE]],
        )
        fill_waiting(connection, QUEUE, OWNERS, count)
        connection.execute("VACUUM (ANALYZE) jobs")
    return url


class Claimer:
    """A worker process as the database sees it, in one of the databases."""

    def __init__(self, url: str, waiting: int, limit: int) -> None:
        self._url = url
        self._limit = limit
        # The line stays as long as it was, to a tenth (or to one slice where that is more).
        self._slack = max(waiting // 10, limit)
        self._database = Database(url, 1, "helixnet bench", lookups=True)
        self._lines = Lines()
        self._taken = 0

    async def claim(self) -> float:
        """Claim once; answers the seconds."""
        wanted = claims.Slice(limit=self._limit, seconds=1, costs={"core.echo": 0.001}, lines=self._lines)
        start = time.perf_counter()
        jobs = await claims.claim(self._database, WORKER, QUEUE, wanted)
        seconds = time.perf_counter() - start
        assert len(jobs) == self._limit, f"{len(jobs)} jobs claimed, not {self._limit}"
        self._taken += self._limit
        if self._taken + self._limit > self._slack:
            await self._replace()
        return seconds

    async def close(self) -> None:
        await self._database.close()
        await self._replace()

    async def _replace(self) -> None:
        await asyncio.to_thread(_fill_again, self._url, self._taken)
        self._taken = 0


async def _claims(urls: dict[str, str], sizes: dict[str, int], limit: int, count: int) -> dict[str, list[float]]:
    """The seconds of so many claims, by size, which take turns claim by claim: a disturbance hits both."""
    claimers = {size: Claimer(url, sizes[size], limit) for size, url in urls.items()}
    latencies: dict[str, list[float]] = {size: [] for size in urls}
    try:
        for number in range(WARM_UP + count):
            for size, claimer in claimers.items():
                seconds = await claimer.claim()
                if number >= WARM_UP:
                    latencies[size].append(seconds)
    finally:
        for claimer in claimers.values():
            await claimer.close()
    return latencies


def _fill_again(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        fill_waiting(connection, QUEUE, OWNERS, count)
