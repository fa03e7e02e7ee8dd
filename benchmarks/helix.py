"""HelixNet on the common ground: its own web, worker and beat, as `helix up` runs them, on a database of its own."""

import asyncio
import itertools
import os
import socket
from pathlib import Path

import psycopg

from benchmarks.ground import RABBITMQ, Broker, Ground
from benchmarks.processes import BenchmarkError, Group, Process
from helixnet.config import Settings
from helixnet.stack import prepare
from helixnet.stack.programs import web_answers

TEMPLATE = "helix_template"
SECRET = "a secret of the benchmarks, of no use elsewhere"
QUEUE = "helixnet.default"
# Celery declares these on RabbitMQ beside every quorum queue, for delays that nobody asks for.
DELAYED = tuple(f"celery_delayed_{bit}" for bit in range(28))
DEMO = "demo@helix.net"
_PORTS = itertools.count(24_000 + os.getpid() % 4000)


def free_port() -> int:
    """A port below those that the kernel gives to connections."""
    for port in _PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError


def environment(ground: Ground, database_url: str, broker: Broker) -> dict[str, str]:
    """What `helix up` gives its parts; warnings only, as every contestant."""
    objects = ground.folder / "objects"
    objects.mkdir(exist_ok=True)
    return ground.environment(
        HELIX_PROFILE="development",
        HELIX_HOME=str(ground.folder / "home"),
        HELIX_DATABASE_URL=database_url,
        HELIX_BROKER_URL=broker.url,
        HELIX_CACHE_URL=ground.valkey.cache_url,
        HELIX_STORAGE_URL=objects.as_uri(),
        HELIX_SECRET_KEY=SECRET,
        HELIX_COOKIE_SECURE="false",
        HELIX_LOG_LEVEL="WARNING",
    )


def database(ground: Ground, name: str) -> str:
    """A database with HelixNet's tables and the development accounts; answers its address."""
    with psycopg.connect(ground.postgres.url) as connection:
        made = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone()
    if not made:
        url = ground.fresh_database(TEMPLATE)
        prepare.migrate(url)
        asyncio.run(prepare.seed(Settings.model_validate({"profile": "development", "database_url": url})))
    return ground.fresh_database(name, TEMPLATE)


def demo_user(database_url: str) -> str:
    """The id of the development account."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT id FROM users WHERE email = %s", [DEMO]).fetchone()
    assert row is not None
    return str(row[0])


class Rings:
    """The queue of the rings on a broker that others may use too: taken if it is free, and left as it was found."""

    def __init__(self, broker: Broker) -> None:
        if broker.consumers(QUEUE):
            raise BenchmarkError(f"another HelixNet uses the queue {QUEUE} of this {broker.title}")
        self._broker = broker
        self._queues = [queue for queue in (QUEUE, *DELAYED) if not broker.has(queue)]

    def forget(self) -> None:
        """Remove what was made since."""
        self._broker.forget(self._queues if self._broker.name == RABBITMQ else [QUEUE])


def start_web(ground: Ground, group: Group, environment: dict[str, str], log: Path) -> tuple[Process, int]:
    """The web alone; answers its process and its port."""
    port = free_port()
    web = group.add(Process(ground.python("helixnet", "web", "--port", str(port)), environment, log))
    web.wait_for(lambda: web_answers(port), "HelixNet's web is ready")
    return web, port


def start_workers(ground: Ground, group: Group, environment: dict[str, str], log: Path, processes: int = 2) -> None:
    """Worker and beat; returns when all worker processes have entered the ledger."""
    url = environment["HELIX_DATABASE_URL"]
    group.add(Process(ground.python("helixnet", "beat"), environment, log))
    worker = group.add(Process(ground.python("helixnet", "worker", "--concurrency", str(processes)), environment, log))
    with psycopg.connect(url, autocommit=True) as connection:

        def registered() -> bool:
            row = connection.execute("SELECT count(*) FROM workers").fetchone()
            return row is not None and row[0] >= processes

        worker.wait_for(registered, "HelixNet's worker processes are in the ledger")
