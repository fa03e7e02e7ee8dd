"""The list page: the 95th percentile of its time with few and with very many jobs."""

import time

import orjson

from benchmarks import helix, wire
from benchmarks.figures import LESS, Ratio, Section, percentile
from benchmarks.filling import fill_ended
from benchmarks.ground import Broker, Ground
from benchmarks.measure.options import Options
from benchmarks.processes import group

PAGES = {"first": "the first page", "failed": "only FAILED jobs", "deep": "a page from the middle"}
LIMIT = 1.5
WARM_UP = 10


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """`GET /api/v1/jobs` of a user with few jobs and with many, each in a database of its own, both at hand at once."""
    section = Section(
        "list",
        "The list page, p95",
        "`GET /api/v1/jobs`, fifty jobs a page, one client. The floor is the same page with few jobs.",
        better=LESS,
    )
    sizes = {"few": options.few_jobs, "many": options.many_jobs}
    for page, title in PAGES.items():
        for size, count in sizes.items():
            section.add(f"{page}_{size}", f"{title} of {count:,} jobs", "ms")
        section.ratios.append(Ratio(f"{page}_many", f"{page}_few", f"{title}, many to few", LESS, LIMIT))
    with group() as processes:
        webs = {}
        for size, count in sizes.items():
            url = helix.database(ground, f"helix_list_{size}")
            fill_ended(url, helix.demo_user(url), count)
            environment = helix.environment(ground, url, broker)
            _web, port = helix.start_web(ground, processes, environment, ground.log("helix_web"))
            webs[size] = (port, wire.run(lambda port=port: wire.sign_in(port)))  # type: ignore[misc]
        ground.checkpoint()
        for _ in range(options.runs):
            for key, latencies in wire.run(lambda: _pages(webs, sizes, options.list_requests)).items():
                section.get(key).values.append(percentile(latencies, 95) * 1000)
    for size in sizes:
        ground.drop_database(f"helix_list_{size}")
    return [section]


async def _pages(webs: dict[str, tuple[int, str]], sizes: dict[str, int], requests: int) -> dict[str, list[float]]:
    """The latencies in seconds, by page and size. The sizes take turns request by request: a disturbance hits both."""
    connections = {size: await wire.Connection.open(port) for size, (port, _token) in webs.items()}
    paths = {
        size: await _paths(connection, wire.bearer(webs[size][1]), sizes[size])
        for size, connection in connections.items()
    }
    answers: dict[str, list[float]] = {}
    for page in PAGES:
        for number in range(WARM_UP + requests):
            for size, connection in connections.items():
                message = wire.request("GET", paths[size][page], **wire.bearer(webs[size][1]))
                start = time.perf_counter()
                await connection.ask(message)
                if number >= WARM_UP:
                    answers.setdefault(f"{page}_{size}", []).append(time.perf_counter() - start)
    for connection in connections.values():
        await connection.close()
    return answers


async def _paths(connection: wire.Connection, headers: dict[str, str], count: int) -> dict[str, str]:
    """The pages' addresses. The filled ids carry times a second apart: the middle one's is known by the first one's."""
    first = orjson.loads(await connection.ask(wire.request("GET", "/api/v1/jobs?limit=1", **headers)))
    newest = int(first["items"][0]["job_id"].replace("-", "")[:12], 16)
    middle = f"{newest - count // 2 * 1000:012x}"
    cursor = f"{middle[:8]}-{middle[8:]}-7000-8000-000000000000"
    return {"first": "/api/v1/jobs", "failed": "/api/v1/jobs?status=FAILED", "deep": f"/api/v1/jobs?cursor={cursor}"}
