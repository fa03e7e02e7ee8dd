"""`helix up`: the embedded servers, then web, worker and beat, until a signal ends them all."""

import asyncio
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import psycopg

from helixnet import log
from helixnet.config import Settings
from helixnet.errors import CannotStart
from helixnet.stack.home import Home
from helixnet.stack.servers import Postgres, Valkey
from helixnet.stack.supervisor import Child, Program

HOST = "127.0.0.1"
READY_LINE = "HelixNet is ready at"

logger = log.logger("helix.stack")


class PortTaken(CannotStart):
    """Something listens on the port already."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `helix up` was asked for."""

    port: int = 8000
    workers: int = 2
    reload: bool = False


def up(settings: Settings, options: Options) -> None:
    """Run the stack until SIGINT or SIGTERM. Raises HomeInUse, PortTaken, StartFailed, MissingServers."""
    home = Home.make(settings.home)
    with home.lock():
        claim_port(options.port)
        asyncio.run(_Stack(home, options).run())


def claim_port(port: int) -> None:
    """Raise PortTaken unless the port is free now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTaken(f"port {port} of {HOST} is taken: end what uses it, or choose another by --port") from error


class _Stack:
    def __init__(self, home: Home, options: Options) -> None:
        self._home = home
        self._options = options
        self._children: list[Child] = []
        self._ending = asyncio.Event()
        self._began = time.time()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ending.set)
        starting = asyncio.create_task(self._start())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                print(f"{READY_LINE} http://{HOST}:{self._options.port}", flush=True)
                await ending
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._stop()

    async def _start(self) -> None:
        # SQLAlchemy and Alembic take a second to load: PostgreSQL makes its folder meanwhile.
        environment, prepare = await asyncio.gather(
            self._start_servers(), asyncio.to_thread(import_module, "helixnet.stack.prepare")
        )
        settings = Settings.model_validate(_fields(environment))
        url = settings.database_url.get_secret_value()
        await asyncio.to_thread(prepare.migrate, url)
        self._home.write_state(_ours(environment))
        # The accounts are none of the parts' business: they start while the passwords are hashed.
        await asyncio.gather(prepare.seed(settings), *(self._add(part) for part in self._parts(environment, url)))

    async def _start_servers(self) -> dict[str, str]:
        """Start the servers that no setting replaces; answers the environment for everything else."""
        environment = embedded_environment(self._home, os.environ)
        starting = []
        postgres, valkey = embedded_servers(self._home)
        if "HELIX_DATABASE_URL" not in environment:
            environment["HELIX_DATABASE_URL"] = postgres.url
            starting.append(self._start_postgres(postgres))
        if not {"HELIX_BROKER_URL", "HELIX_CACHE_URL"} <= set(environment):
            environment.setdefault("HELIX_BROKER_URL", valkey.broker_url)
            environment.setdefault("HELIX_CACHE_URL", valkey.cache_url)
            starting.append(self._add(valkey_program(valkey, self._home)))
        await asyncio.gather(*starting)
        return environment

    async def _start_postgres(self, postgres: Postgres) -> None:
        await asyncio.to_thread(postgres.initialize)
        await self._add(postgres_program(postgres, self._home))

    def _parts(self, environment: Mapping[str, str], database_url: str) -> list[Program]:
        helix = [sys.executable, "-m", "helixnet"]
        web = [*helix, "web", "--host", HOST, "--port", str(self._options.port)]
        if self._options.reload:
            web.append("--reload")
        worker = [*helix, "worker", "--concurrency", str(self._options.workers)]
        url = f"http://{HOST}:{self._options.port}/readyz"

        async def web_answers() -> bool:
            return await asyncio.to_thread(_answers, url)

        async def worker_is_registered() -> bool:
            return await asyncio.to_thread(_worker_since, database_url, self._began)

        async def is_running() -> bool:
            return True

        return [
            Program("web", web, environment, web_answers, patience=5),
            Program("worker", worker, environment, worker_is_registered, patience=10),
            Program("beat", [*helix, "beat"], environment, is_running, patience=2),
        ]

    async def _add(self, program: Program) -> None:
        child = Child(program)
        self._children.append(child)
        await child.start()

    async def _stop(self) -> None:
        """The parts first, all at once; then the servers that they need to end well."""
        by_name = {child.program.name: child for child in self._children}
        for names in (("beat", "web", "worker"), ("valkey", "postgres")):
            await asyncio.gather(*(by_name[name].stop() for name in names if name in by_name))
        self._home.clear_state()
        logger.info("stopped")


def embedded_environment(home: Home, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the parts: what is given counts, the rest is for this machine and this home."""
    defaults = {
        "HELIX_PROFILE": "development",
        "HELIX_HOME": str(home.path),
        "HELIX_STORAGE_URL": f"file://{home.objects}",
        "HELIX_SECRET_KEY": home.secret_key(),
        "HELIX_COOKIE_SECURE": "false",
    }
    return defaults | {name: value for name, value in given.items() if value} | {"HELIX_HOME": str(home.path)}


def embedded_servers(home: Home) -> tuple[Postgres, Valkey]:
    return Postgres(home.postgres_data, home.socket_folder("pg")), Valkey(home.socket_folder("valkey"))


def postgres_program(postgres: Postgres, home: Home) -> Program:
    async def answers() -> bool:
        return await asyncio.to_thread(postgres.answers)

    output = home.logs / "postgres.log"
    return Program("postgres", postgres.command(), os.environ, answers, postgres.stop_signal, 4, output)


def valkey_program(valkey: Valkey, home: Home) -> Program:
    async def answers() -> bool:
        return await asyncio.to_thread(valkey.answers)

    return Program("valkey", valkey.command(), os.environ, answers, valkey.stop_signal, 2, home.logs / "valkey.log")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - an address of our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _worker_since(database_url: str, began: float) -> bool:
    """Whether a worker process has entered the ledger since `began` (seconds since the epoch)."""
    try:
        with psycopg.connect(database_url, connect_timeout=2) as connection:
            row = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM workers WHERE started_at >= to_timestamp(%s))", [began]
            ).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])


def _fields(environment: Mapping[str, str]) -> dict[str, str]:
    prefix = "HELIX_"
    return {name.removeprefix(prefix).lower(): value for name, value in _ours(environment).items()}


def _ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("HELIX_")}
