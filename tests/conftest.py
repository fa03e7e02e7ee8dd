"""Real servers for the tests: a PostgreSQL for each process of the suite, S3, and a whole HelixNet on demand."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx2
import psutil
import psycopg
import pytest
import uuid_utils.compat as uuids

from helixnet import migrations
from helixnet.blobs import BlobStore
from helixnet.client import Client
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.stack.home import Home
from helixnet.stack.rabbitmq import MissingRabbitMQ, RabbitMQ
from helixnet.stack.servers import ENVIRONMENT, Postgres, Valkey

START_SECONDS = 180
TEMPLATE = "helix_template"

# A shell has what it runs in the background ignore interrupts, and what that starts as well; the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Look at a condition until it holds; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"after {seconds:g} s still not: {what}")
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still does anything; one that waits for its parent to notice its end does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _ports() -> Iterator[int]:
    """Ports for servers: below those that the kernel gives to connections, others for each process of the suite."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20_000 + 1_000 * worker
    # Where to begin depends on the process: a second suite on the machine goes its own way.
    for step in itertools.count(os.getpid() * 61):
        port = first + step % 1_000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                yield port


PORTS = _ports()


def free_port() -> int:
    return next(PORTS)


@contextmanager
def running(server: Postgres | Valkey | RabbitMQ, user: int | None = None) -> Iterator[psutil.Process]:
    """A server's process, from its first answer to its end; `user` is whose it is, if not ours."""
    environment = server.environment if isinstance(server, RabbitMQ) else ENVIRONMENT
    process = subprocess.Popen(
        server.command(), cwd="/", env=environment, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(server.answers, f"{type(server).__name__} answers", START_SECONDS)
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(server.stop_signal)
        process.wait(20)


@pytest.hookimpl(trylast=True)
def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a case made of bytes by its parameter: its content may differ from one test process to the next.

    An archive carries the second it was made in, and pytest-xdist refuses processes that collected different names.
    """
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the groups of `--dist loadgroup`: pytest-xdist 3.8 writes them where pytest 9.2 no longer looks."""
    for item in items:
        if with_group := vars(item).get("_nodeid"):
            item._id = type(item._id).parse(with_group)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A private folder with a short path: unix sockets allow no long one."""
    path = Path(tempfile.mkdtemp(prefix="helix-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL with a migrated database to copy for each test."""
    sockets = folder / "pg"
    sockets.mkdir(mode=0o700)
    server = Postgres(folder / "data", sockets, durable=False)
    server.initialize()
    with running(server):
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        migrations.upgrade(server.url_of(TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def valkey(folder: Path) -> Iterator[Valkey]:
    sockets = folder / "vk"
    sockets.mkdir(mode=0o700)
    server = Valkey(sockets)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    server = RabbitMQ(folder / "rabbitmq")
    try:
        server.initialize()
    except MissingRabbitMQ as error:
        pytest.skip(str(error))
    with running(server):
        yield server


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A database of the test's own, with every table and no row."""
    name = f"t_{uuids.uuid7().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield postgres.url_of(name)
    # PostgreSQL's own vacuum may be at work in it, which only a superuser can end.
    with psycopg.connect(dbname="postgres", user="postgres", host=str(postgres.sockets), autocommit=True) as superuser:
        superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, 10, "test")
    yield database
    await database.close()


@dataclass
class Stack:
    """A HelixNet as `helix up` runs it, in a home of its own."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_bytes().decode("utf-8", "replace")

    @property
    def log_file(self) -> Path:
        return self.home.with_name(self.home.name + ".log")

    def start(self) -> None:
        command = [sys.executable, "-m", "helixnet", "up", "--home", str(self.home), "--port", str(self.port)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIX_")}
        with self.log_file.open("ab") as log:
            said = log.tell()
            self.process = subprocess.Popen(
                [*command, *self.arguments], env=clean | self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        process = self.process

        def is_ready_or_over() -> bool:
            return b"HelixNet is ready at" in self.log_file.read_bytes()[said:] or process.poll() is not None

        wait_until(is_ready_or_over, "ready", START_SECONDS)
        assert process.poll() is None, self.log

    def stop(self) -> int:
        """End it as Ctrl-C does; answers the exit code."""
        assert self.process is not None
        while self.clients:
            self.clients.popitem()[1].close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def part(self, name: str) -> psutil.Process:
        """The main process of a part: web, worker, beat, postgres, valkey or rabbitmq."""
        assert self.process is not None
        marks = {"postgres": "pginstall/bin/postgres", "valkey": "valkey-server", "rabbitmq": "/beam.smp"}
        for child in psutil.Process(self.process.pid).children():
            words = child.cmdline() if is_alive(child) else []
            mark = marks.get(name)
            if (mark and any(mark in word for word in words)) or words[2:4] == ["helixnet", name]:
                return child
        raise LookupError(f"{name} does not run")

    def kill(self, name: str) -> None:
        """SIGKILL a part's main process, and wait until it is gone."""
        process = self.part(name)
        process.kill()
        wait_until(lambda: not is_alive(process), f"{name} is dead")

    def is_back(self, name: str, old: int) -> bool:
        """Whether a part runs as another process than the `old` one, and the whole is ready."""
        try:
            return self.part(name).pid != old and self.is_ready()
        except LookupError:
            return False

    def is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    @contextmanager
    def frozen_supervisor(self) -> Iterator[None]:
        """While the block runs, nothing that dies is started again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Ask the stack's own database."""
        state = Home(self.home).read_state()
        assert state is not None
        with psycopg.connect(state["HELIX_DATABASE_URL"]) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def worker_of(self, job_id: UUID) -> int:
        """The pid of the worker process that holds a job."""
        rows = self.sql(
            "SELECT workers.pid FROM jobs JOIN workers ON workers.id = worker_id WHERE jobs.id = %s", job_id
        )
        assert isinstance(rows[0][0], int)
        return rows[0][0]

    def client(self, email: str = "demo@helix.net", password: str = "demo") -> Client:
        """A client that is signed in; one for each account, closed when the stack stops."""
        if email not in self.clients:
            self.clients[email] = Client(self.url)
            self.clients[email].sign_in(email, password)
        return self.clients[email]

    def http(self, client: Client) -> httpx2.Client:
        """Plain HTTP on the client's connection, with its token."""
        return client._http

    def send_half_an_upload(self, client: Client) -> None:
        """Begin an upload, and hang up in the middle of its first file."""
        token = client._http.headers["Authorization"]
        head = (
            "POST /api/v1/jobs/upload HTTP/1.1\r\nHost: helix\r\nContent-Length: 9000000\r\n"
            f"Authorization: {token}\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="content_key"; filename="a"\r\n\r\n'
        )
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(head.encode() + b"x" * 2_000_000)


@pytest.fixture(scope="session")
def stack(folder: Path) -> Iterator[Stack]:
    """One HelixNet for all tests of this process that only use it."""
    stack = Stack(folder / "shared")
    stack.start()
    yield stack
    assert stack.stop() == 0, stack.log


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """A HelixNet for tests that harm it and wait until it has healed. A worker is taken for lost after 3 s."""
    folder = Path(tempfile.mkdtemp(prefix="helix-own-"))
    stack = Stack(folder / "home", {"HELIX_LEASE_SECONDS": "3"})
    stack.start()
    yield stack
    code = stack.stop()
    log = stack.log
    shutil.rmtree(folder, ignore_errors=True)
    assert code == 0, log


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """An object store, once on a folder and once on a real S3 server."""
    if request.param == "folder":
        return BlobStore(Settings(storage_url=f"file://{tmp_path}/objects"))
    s3: S3Server = request.getfixturevalue("s3")
    return BlobStore(s3.settings(f"t-{uuids.uuid7().hex}"))


@dataclass
class S3Server:
    """SeaweedFS with one bucket; each test has a prefix of its own in it."""

    port: int
    bucket: str = "helix"

    def settings(self, prefix: str) -> Settings:
        return Settings.model_validate(
            {
                "storage_url": f"s3://{self.bucket}/{prefix}",
                "storage_endpoint": f"http://127.0.0.1:{self.port}",
                "storage_access_key": "any",
                "storage_secret_key": "any",
            }
        )


@pytest.fixture(scope="session")
def s3(folder: Path) -> Iterator[S3Server]:
    server = S3Server(free_port())
    weed = Path(sys.executable).with_name("weed")
    data = folder / "s3"
    data.mkdir()
    ports = {name: str(free_port()) for name in ("master.port", "volume.port", "filer.port")}
    command = [str(weed), "server", "-ip=127.0.0.1", f"-dir={data}", "-s3", f"-s3.port={server.port}"]
    command += [
        "-master.volumeSizeLimitMB=64",
        "-volume.max=100",  # each bucket takes several; by default the first one can leave none for another
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    command += [f"-{part}.port.grpc={free_port()}" for part in ("master", "volume", "filer", "s3")]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=data)
    bucket = f"http://127.0.0.1:{server.port}/{server.bucket}"

    def bucket_is_made() -> bool:
        assert process.poll() is None, (folder / "s3.log").read_text(errors="replace")[-4000:]
        try:
            return httpx2.put(bucket, timeout=5).status_code in (200, 409)
        except httpx2.TransportError:
            return False

    try:
        wait_until(bucket_is_made, "SeaweedFS has its bucket", START_SECONDS)
        yield server
    finally:
        process.kill()  # it takes ten seconds to end in good order, and nothing of it is kept
        process.wait(20)
