"""The ground that all contestants stand on: one PostgreSQL, one Valkey, and RabbitMQ where it answers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis
from kombu.connection import Connection

from benchmarks.processes import wait_until
from helixnet.stack.servers import ENVIRONMENT, Postgres, Valkey

RABBITMQ_VARIABLE = "HELIX_BENCH_RABBITMQ"
RABBITMQ_DEFAULT = "amqp://guest:guest@127.0.0.1:5672//"
VALKEY, RABBITMQ = "valkey", "rabbitmq"
BROKER_NAMES = {VALKEY: "Valkey", RABBITMQ: "RabbitMQ"}


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers."""

    name: str
    url: str

    @property
    def title(self) -> str:
        return BROKER_NAMES[self.name]

    def forget(self, queues: list[str]) -> None:
        """Remove the queues that a contestant made, with what is in them."""
        with Connection(self.url, connect_timeout=5) as connection:
            for name in queues:
                if self.name == VALKEY:
                    connection.default_channel.client.delete(name)
                else:
                    connection.default_channel.queue_delete(name)

    def has(self, queue: str) -> bool:
        """Whether a queue is there already, on a RabbitMQ that others may use too."""
        if self.name == VALKEY:
            return False
        with Connection(self.url, connect_timeout=5) as connection:
            try:
                connection.default_channel.queue_declare(queue, passive=True)
            except connection.channel_errors:
                return False
        return True

    def consumers(self, queue: str) -> int:
        """How many consumers of others a queue has; 0 where that can't be."""
        if self.name == VALKEY:
            return 0  # the server is ours alone
        with Connection(self.url, connect_timeout=5) as connection:
            try:
                return int(connection.default_channel.queue_declare(queue, passive=True).consumer_count)
            except connection.channel_errors:
                return 0


@dataclass
class Ground:
    """The servers, and a folder for everything that is made on the way."""

    folder: Path
    postgres: Postgres
    valkey: Valkey
    rabbitmq_url: str | None = field(default=None)

    def broker(self, name: str) -> Broker | None:
        """The broker of this name; None for a RabbitMQ that does not answer."""
        if name == VALKEY:
            return Broker(VALKEY, self.valkey.broker_url)
        return None if self.rabbitmq_url is None else Broker(RABBITMQ, self.rabbitmq_url)

    def fresh_database(self, name: str, template: str = "template1") -> str:
        """An empty database (or a copy of another); answers its address."""
        self.drop_database(name)
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.postgres.url_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and whoever uses it: PostgreSQL's own vacuum may, which only a superuser can end."""
        with self._superuser() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def checkpoint(self) -> None:
        """Write everything out, so that each run begins with the same debt: none."""
        with self._superuser() as connection:
            connection.execute("CHECKPOINT")

    def _superuser(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(dbname="postgres", user="postgres", host=str(self.postgres.sockets), autocommit=True)

    def flush_valkey(self) -> None:
        """Forget what the last contestant left in Valkey."""
        with redis.Redis.from_url(self.valkey.cache_url) as client:
            client.flushall()

    def environment(self, **values: str) -> dict[str, str]:
        """The environment of a contestant: the machine's own without settings of HelixNet, and these values."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIX_")}
        return clean | {"PYTHONUNBUFFERED": "1"} | values

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def python(self, module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", module, *arguments]


@contextmanager
def ground(folder: Path, *, rabbitmq: bool) -> Iterator[Ground]:
    """Start the servers with the settings of `helix up`; they end with the block."""
    # Root's PostgreSQL has an account of its own, which must reach its folders.
    folder.chmod(0o711)
    (folder / "pg").mkdir(mode=0o700, exist_ok=True)
    (folder / "vk").mkdir(mode=0o700, exist_ok=True)
    postgres, valkey = Postgres(folder / "data", folder / "pg"), Valkey(folder / "vk")
    postgres.initialize()
    with _running(postgres, folder / "postgres.log"), _running(valkey, folder / "valkey.log"):
        yield Ground(folder, postgres, valkey, _rabbitmq(os.environ) if rabbitmq else None)


@contextmanager
def _running(server: Postgres | Valkey, log: Path) -> Iterator[None]:
    with log.open("ab") as file:
        # In a session of its own: a Ctrl-C is for the program to answer.
        process = subprocess.Popen(
            server.command(), cwd="/", env=ENVIRONMENT, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_until(server.answers, f"{type(server).__name__} answers")
        yield
    finally:
        process.send_signal(server.stop_signal)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def _rabbitmq(environment: Mapping[str, str]) -> str | None:
    url = environment.get(RABBITMQ_VARIABLE) or RABBITMQ_DEFAULT
    try:
        with Connection(url, connect_timeout=2, transport_options={"max_retries": 0}) as connection:
            connection.connect()
    except Exception:  # noqa: BLE001 - whatever the client raises: no RabbitMQ answers there
        return None
    return url
