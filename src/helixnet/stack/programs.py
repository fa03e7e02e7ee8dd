"""What the stack runs: the embedded servers, web, worker and beat, each with its environment and its probe."""

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import psycopg

from helixnet.errors import CannotStart
from helixnet.stack.home import Home
from helixnet.stack.ports import HOST
from helixnet.stack.rabbitmq import RabbitMQ
from helixnet.stack.servers import ENVIRONMENT, Postgres, Valkey
from helixnet.stack.supervisor import Program

PREFIX = "HELIX_"
PROBE_SECONDS = 2
# More than the web itself takes to retire.
RETIREMENT_SECONDS = 150


def embedded_environment(home: Home, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the parts: what is given counts, the rest is for this machine and this home."""
    defaults = {
        "HELIX_PROFILE": "development",
        "HELIX_STORAGE_URL": home.objects.as_uri(),
        "HELIX_SECRET_KEY": home.secret_key(),
        "HELIX_COOKIE_SECURE": "false",
    }
    # An empty variable is one that isn't set, as `Settings` has it.
    set_ones = {name: value for name, value in given.items() if value or not name.startswith(PREFIX)}
    return defaults | set_ones | {"HELIX_HOME": str(home.path)}


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The fields of `Settings` that an environment sets."""
    return {name.removeprefix(PREFIX).lower(): value for name, value in variables(environment).items()}


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """HelixNet's own part of an environment."""
    return {name: value for name, value in environment.items() if name.startswith(PREFIX)}


def embedded_servers(home: Home) -> tuple[Postgres, Valkey]:
    return Postgres(home.postgres_data, home.socket_folder("pg")), Valkey(home.socket_folder("valkey"))


def server_program(server: Postgres | Valkey, home: Home) -> Program:
    """A server that `initialize` has made ready to run."""
    name, patience = ("postgres", 4.0) if isinstance(server, Postgres) else ("valkey", 2.0)
    return Program(
        name,
        server.command(),
        ENVIRONMENT,
        in_thread(server.answers),
        server.stop_signal,
        server.last_signal,
        patience,
        home.logs / f"{name}.log",
    )


def rabbitmq_program(server: RabbitMQ, home: Home) -> Program:
    """A RabbitMQ that `initialize` has made ready to run."""
    return Program(
        "rabbitmq",
        server.command(),
        server.environment,
        in_thread(server.answers),
        server.stop_signal,
        server.last_signal,
        patience=6,
        output=home.logs / "rabbitmq.log",
    )


def for_service(environment: Mapping[str, str], number: int) -> dict[str, str]:
    """The environment of one service among those of this machine: each has a port of its own for its metrics."""
    port = int(environment.get("HELIX_METRICS_PORT") or 0)
    return dict(environment) | ({"HELIX_METRICS_PORT": str(port + number)} if port else {})


def web_program(environment: Mapping[str, str], door: socket.socket) -> Program:
    """A web that takes its connections from a listening socket of ours; a successor may take them from it as well."""
    command = [*_helix("web"), "--fd", str(door.fileno())]
    port = door.getsockname()[1]
    return Program(
        "web",
        command,
        for_service(environment, 0),
        in_thread(lambda: web_answers(port)),
        patience=5,
        fds=(door.fileno(),),
        tells_ready=True,
        retire_signal=signal.SIGQUIT,
        retire_patience=RETIREMENT_SECONDS,
    )


def reloading_web_program(environment: Mapping[str, str], port: int) -> Program:
    """A web that starts anew when the code changes."""
    command = [*_helix("web"), "--host", HOST, "--port", str(port), "--reload"]
    return Program("web", command, for_service(environment, 0), in_thread(lambda: web_answers(port)), patience=5)


def worker_program(environment: Mapping[str, str], processes: int, began: datetime) -> Program:
    """A worker; it is ready once one of its processes has entered the ledger, which was not there when it `began`."""
    url = environment["HELIX_DATABASE_URL"]
    command = [*_helix("worker"), "--concurrency", str(processes)]
    return Program(
        "worker",
        command,
        for_service(environment, 1),
        in_thread(lambda: _worker_since(url, began)),
        patience=10,
        retire_patience=20,
    )


def beat_program(environment: Mapping[str, str]) -> Program:
    return Program("beat", _helix("beat"), for_service(environment, 2), in_thread(lambda: True), patience=2)


def web_answers(port: int) -> bool:
    """Whether the web on this machine is ready. Asked directly: a proxy of the environment knows nothing of it."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def run_anew(*words: str, environment: Mapping[str, str]) -> None:
    """Run a command of `helix` with the code as it is now, which may be newer than ours; raises CannotStart."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "helixnet", *words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise CannotStart(f"helix {' '.join(words)} failed: {said.decode(errors='replace').strip()}")


def database_clock(database_url: str) -> datetime:
    """What time the database has: the only clock that its rows may be compared with. Raises CannotStart."""
    try:
        with psycopg.connect(database_url, connect_timeout=PROBE_SECONDS) as connection:
            row = connection.execute("SELECT now()").fetchone()
    except psycopg.Error as error:
        raise CannotStart(f"the database does not answer: {str(error).strip()}") from error
    assert row is not None  # noqa: S101 - SELECT without FROM has one row
    now: datetime = row[0]
    return now


def in_thread(probe: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await asyncio.to_thread(probe)

    return ask


def _helix(part: str) -> list[str]:
    return [sys.executable, "-m", "helixnet", part]


def _worker_since(database_url: str, began: datetime) -> bool:
    try:
        with psycopg.connect(database_url, connect_timeout=PROBE_SECONDS) as connection:
            row = connection.execute("SELECT EXISTS (SELECT 1 FROM workers WHERE started_at >= %s)", [began]).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])
