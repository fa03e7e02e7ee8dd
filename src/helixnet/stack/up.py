"""`helix up`: the embedded servers, then web, worker and beat, until a signal ends them all."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Coroutine, Iterable
from importlib import import_module

from helixnet import log
from helixnet.config import Settings
from helixnet.errors import CannotStart
from helixnet.stack import control, full, ports, programs
from helixnet.stack.home import Home
from helixnet.stack.options import Options
from helixnet.stack.ports import HOST
from helixnet.stack.rabbitmq import MissingRabbitMQ, RabbitMQ
from helixnet.stack.seaweedfs import SeaweedFS
from helixnet.stack.servers import Postgres
from helixnet.stack.supervisor import Child, Program
from helixnet.stack.watch import Watch

READY_LINE = "HelixNet is ready at"
# A command that uses the home for a moment is done within this time.
LOCK_SECONDS = 20
# What is stopped first, all at once; then the servers that it needs to end well.
PARTS = ("traefik", "flower", "pgadmin", "beat", "web", "worker")
SERVERS = ("rabbitmq", "valkey", "seaweedfs", "postgres")

logger = log.logger("helix.stack")


def up(settings: Settings, options: Options) -> None:
    """Run the stack until SIGINT, SIGTERM or SIGHUP. Raises HomeInUse, PortTaken, StartFailed, MissingServers,
    MissingRabbitMQ, MissingTool."""
    home = Home.make(settings.home)
    with home.lock(LOCK_SECONDS), Watch(home.children_file) as watch, contextlib.ExitStack() as opened:
        for port in options.tool_ports if options.full else ():
            ports.bound(port).close()
        door = opened.enter_context(ports.bound(options.port))
        asyncio.run(_Stack(home, watch, options, door).run())


class _Stack:
    def __init__(self, home: Home, watch: Watch, options: Options, door: socket.socket) -> None:
        self._home = home
        self._watch = watch
        self._options = options
        # The socket that the web takes its connections from. It is ours: while one web follows another, nobody is
        # refused.
        self._door = door
        self._children: list[Child] = []
        self._coming: list[asyncio.Task[None]] = []
        self._environment: dict[str, str] = {}
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
                async with control.listening(self._home, {"deploy": self._deploy, "stop": self._end}):
                    print(f"{READY_LINE} {self._url}", flush=True)
                    await ending
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._stop()

    @property
    def _url(self) -> str:
        return f"http://{HOST}:{self._options.port}"

    async def _start(self) -> None:
        self._environment = environment = programs.embedded_environment(self._home, os.environ)
        if self._options.full:
            self._put_traefik_at_the_door()
        rabbitmq = self._rabbitmq(environment)
        if rabbitmq is None:
            self._broker_serves.set()
            await self._start_all_else(environment)
            return
        environment["HELIX_BROKER_URL"] = rabbitmq.url
        # A quorum of one protects from nothing, and may stay without a leader: docs/explanation/celery.md.
        environment.setdefault("HELIX_RABBITMQ_QUEUE_TYPE", "classic")
        await self._all(self._start_rabbitmq(rabbitmq), self._start_all_else(environment))

    def _rabbitmq(self, environment: dict[str, str]) -> RabbitMQ | None:
        """The RabbitMQ to run: where it was asked for, and in the full stack where it is installed."""
        wanted = self._options.broker or ("rabbitmq" if self._options.full else "valkey")
        if wanted == "valkey" or "HELIX_BROKER_URL" in environment:
            return None
        rabbitmq = RabbitMQ(self._home.rabbitmq)
        try:
            rabbitmq.initialize()
        except MissingRabbitMQ:
            if self._options.broker is not None:
                raise
            logger.warning("RabbitMQ is not installed: Valkey carries the rings")
            return None
        return rabbitmq

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
        self._home.write_state(programs.variables(environment), self._url)
        # The accounts are none of the parts' business: they start while the passwords are hashed.
        await self._all(
            prepare.seed(settings),
            self._add(self._web_program()),
            self._add_once_the_broker_serves(programs.worker_program(environment, self._options.workers, began)),
            self._add(programs.beat_program(environment)),
            *(self._start_tools() if self._options.full else ()),
        )

    def _put_traefik_at_the_door(self) -> None:
        self._door.close()
        self._door = ports.bound(ports.free_port())
        self._environment["HELIX_TASK_EVENTS"] = "true"

    def _web_program(self) -> Program:
        if self._options.reload:
            port = self._door.getsockname()[1]
            self._door.close()
            return programs.reloading_web_program(self._environment, port)
        self._door.listen(ports.BACKLOG)
        return programs.web_program(self._environment, self._door)

    def _start_tools(self) -> Iterable[Coroutine[None, None, None]]:
        web_port = self._door.getsockname()[1]
        found = full.tools(self._home, self._environment, self._options, web_port)
        return [self._add_once_the_broker_serves(program) for program in found]

    async def _add_once_the_broker_serves(self, program: Program) -> None:
        # A worker that finds no broker waits two seconds and more before it tries again; Flower complains.
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
        if self._options.full and not os.environ.get("HELIX_STORAGE_URL"):
            seaweedfs = SeaweedFS(self._home.path / "seaweedfs", self._home.secret("storage_key"))
            environment.update(seaweedfs.settings)
            starting.append(self._add(seaweedfs.program(self._home.logs / "seaweedfs.log")))
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
        if program.is_awaited:
            await child.start(program.start_seconds)
        else:
            self._coming.append(asyncio.create_task(self._start_unawaited(child)))

    async def _start_unawaited(self, child: Child) -> None:
        try:
            await child.start(child.program.start_seconds)
            logger.info(f"{child.program.name} serves")
        except CannotStart as error:
            logger.warning(f"it goes on without {child.program.name}", error=str(error))
            await child.stop()

    async def _deploy(self) -> str:
        """Give web, worker and beat the code as it is now, each by a successor that serves before it leaves."""
        await programs.run_anew("db", "upgrade", environment=self._environment)
        url = self._environment["HELIX_DATABASE_URL"]
        if not self._options.reload:
            await self._succeed("web", programs.web_program(self._environment, self._door))
        began = await asyncio.to_thread(programs.database_clock, url)
        await self._succeed("worker", programs.worker_program(self._environment, self._options.workers, began))
        await self._succeed("beat", programs.beat_program(self._environment))
        return "web, worker and beat run the new code"

    async def _succeed(self, name: str, program: Program) -> None:
        """Start a successor, and once it serves, let the old one retire. One that fails is gone, and the old stays."""
        (old,) = (child for child in self._children if child.program.name == name)
        successor = Child(program, self._watch, old.generation + 1)
        self._children.append(successor)
        try:
            await successor.start()
        except CannotStart:
            await successor.stop()
            self._children.remove(successor)
            raise
        await old.retire()
        self._children.remove(old)

    async def _end(self) -> str:
        self._ending.set()
        return "it stops"

    async def _stop(self) -> None:
        self._door.close()
        for task in self._coming:
            task.cancel()
        await asyncio.gather(*self._coming, return_exceptions=True)
        for names in (PARTS, SERVERS):
            await asyncio.gather(*(child.stop() for child in self._children if child.program.name in names))
        self._home.clear_state()
        logger.info("stopped")
