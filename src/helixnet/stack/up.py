"""`helix up`: the embedded servers, then web, worker and beat, until a signal ends them all."""

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from helixnet import log
from helixnet.config import Settings
from helixnet.errors import CannotStart
from helixnet.stack import programs
from helixnet.stack.home import Home
from helixnet.stack.programs import HOST
from helixnet.stack.rabbitmq import RabbitMQ
from helixnet.stack.servers import Postgres
from helixnet.stack.supervisor import Child, Program
from helixnet.stack.watch import Watch

READY_LINE = "HelixNet is ready at"
# A command that uses the home for a moment is done within this time.
LOCK_SECONDS = 20

logger = log.logger("helix.stack")


class PortTaken(CannotStart):
    """Something listens on the port already."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `helix up` was asked for."""

    port: int = 8000
    workers: int = 2
    reload: bool = False
    broker: Literal["valkey", "rabbitmq"] = "valkey"


def up(settings: Settings, options: Options) -> None:
    """Run the stack until SIGINT, SIGTERM or SIGHUP. Raises HomeInUse, PortTaken, StartFailed, MissingServers,
    MissingRabbitMQ."""
    home = Home.make(settings.home)
    with home.lock(LOCK_SECONDS), Watch(home.children_file) as watch:
        claim_port(options.port)
        asyncio.run(_Stack(home, watch, options).run())


def claim_port(port: int) -> None:
    """Raise PortTaken unless the port is free now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError as error:
            raise PortTaken(f"port {port} of {HOST} is not for this user: choose another by --port") from error
        except OSError as error:
            raise PortTaken(f"port {port} of {HOST} is taken: end what uses it, or choose another by --port") from error


class _Stack:
    def __init__(self, home: Home, watch: Watch, options: Options) -> None:
        self._home = home
        self._watch = watch
        self._options = options
        self._children: list[Child] = []
        self._ending = asyncio.Event()
        self._broker_serves = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
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
        environment = programs.embedded_environment(self._home, os.environ)
        if self._options.broker == "valkey" or "HELIX_BROKER_URL" in environment:
            self._broker_serves.set()
            await self._start_all_else(environment)
            return
        rabbitmq = RabbitMQ(self._home.rabbitmq)
        rabbitmq.initialize()
        environment["HELIX_BROKER_URL"] = rabbitmq.url
        # A quorum of one protects from nothing, and may stay without a leader: docs/explanation/celery.md.
        environment.setdefault("HELIX_RABBITMQ_QUEUE_TYPE", "classic")
        await self._all(self._start_rabbitmq(rabbitmq), self._start_all_else(environment))

    async def _start_rabbitmq(self, rabbitmq: RabbitMQ) -> None:
        await self._add(programs.rabbitmq_program(rabbitmq, self._home))
        self._broker_serves.set()

    async def _start_all_else(self, environment: dict[str, str]) -> None:
        # SQLAlchemy and Alembic take a second to load: PostgreSQL makes its folder meanwhile.
        _, prepare = await asyncio.gather(
            self._start_servers(environment), asyncio.to_thread(import_module, "helixnet.stack.prepare")
        )
        settings = Settings.model_validate(programs.settings_in(environment))
        url = settings.database_url.get_secret_value()
        began = await asyncio.to_thread(programs.database_clock, url)
        await asyncio.to_thread(prepare.migrate, url)
        self._home.write_state(programs.variables(environment))
        # The accounts are none of the parts' business: they start while the passwords are hashed.
        await self._all(
            prepare.seed(settings),
            self._add(programs.web_program(environment, self._options.port, reload=self._options.reload)),
            self._start_worker(programs.worker_program(environment, self._options.workers, began)),
            self._add(programs.beat_program(environment)),
        )

    async def _start_worker(self, program: Program) -> None:
        # A worker that finds no broker waits two seconds and more before it tries again.
        await self._broker_serves.wait()
        await self._add(program)

    async def _start_servers(self, environment: dict[str, str]) -> None:
        """Start the servers that no setting replaces, and complete the environment for everything else."""
        starting = []
        postgres, valkey = programs.embedded_servers(self._home)
        if "HELIX_DATABASE_URL" not in environment:
            environment["HELIX_DATABASE_URL"] = postgres.url
            starting.append(self._start_postgres(postgres))
        if not environment.keys() >= {"HELIX_BROKER_URL", "HELIX_CACHE_URL"}:
            environment.setdefault("HELIX_BROKER_URL", valkey.broker_url)
            environment.setdefault("HELIX_CACHE_URL", valkey.cache_url)
            starting.append(self._add(programs.server_program(valkey, self._home)))
        await self._all(*starting)

    async def _start_postgres(self, postgres: Postgres) -> None:
        await asyncio.to_thread(postgres.initialize)
        await self._add(programs.server_program(postgres, self._home))

    async def _all(self, *steps: Coroutine[None, None, None]) -> None:
        """Take these steps side by side; the first error ends the others and is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                for step in steps:
                    group.create_task(step)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _add(self, program: Program) -> None:
        child = Child(program, self._watch)
        self._children.append(child)
        await child.start()

    async def _stop(self) -> None:
        """The parts first, all at once; then the servers that they need to end well."""
        by_name = {child.program.name: child for child in self._children}
        for names in (("beat", "web", "worker"), ("rabbitmq", "valkey", "postgres")):
            await asyncio.gather(*(by_name[name].stop() for name in names if name in by_name))
        self._home.clear_state()
        logger.info("stopped")
