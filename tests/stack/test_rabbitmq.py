"""The embedded RabbitMQ: private, harmless to its neighbours, and hard to break."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from amqp.exceptions import AccessRefused
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.simple import SimpleQueue

from helixnet.errors import CannotStart
from helixnet.stack import ports
from helixnet.stack import rabbitmq as module
from helixnet.stack.home import Home
from helixnet.stack.rabbitmq import MissingRabbitMQ, RabbitMQ, _version
from tests.conftest import is_alive, running, wait_until
from tests.stack.conftest import helix, processes_naming

pytestmark = pytest.mark.xdist_group("rabbitmq")


def installed() -> bool:
    try:
        module._program()
    except MissingRabbitMQ:
        return False
    return True


needs_rabbitmq = pytest.mark.skipif(not installed(), reason="RabbitMQ is not installed")


@pytest.fixture
def server(home: Home) -> RabbitMQ:
    server = RabbitMQ(home.rabbitmq)
    server.initialize()
    return server


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    entries = process.net_connections("inet")
    return [(entry.laddr.ip, entry.laddr.port) for entry in entries if entry.status == psutil.CONN_LISTEN]


def port_of(server: RabbitMQ) -> int:
    return int(server._address()["port"])


@pytest.fixture
def no_process_left(short_folder: Path) -> Iterator[None]:
    yield
    wait_until(lambda: processes_naming(short_folder) == [], "every process of the server is gone", 5)


@needs_rabbitmq
@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("name", ["with space, 100% #1? ü"])
def test_it_listens_to_clients_on_this_machine_alone_in_a_home_with_any_name(short_folder: Path, name: str) -> None:
    server = RabbitMQ(Home.make(short_folder / name).rabbitmq)
    server.initialize()
    with running(server) as process:
        everyone = process.children(recursive=True)
        assert listening(process) == [("127.0.0.1", port_of(server))]
        with Connection(server.url) as connection:
            assert connection.ensure_connection(max_retries=1).connected
        with (
            pytest.raises(AccessRefused),
            Connection(f"amqp://guest:guest@127.0.0.1:{port_of(server)}") as c,
        ):
            c.connect()
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    wait_until(lambda: not any(is_alive(each) for each in everyone), "what it started is gone", 5)


@needs_rabbitmq
@pytest.mark.usefixtures("no_process_left")
def test_two_run_at_once_and_a_killed_one_leaves_nothing_but_its_data(short_folder: Path, server: RabbitMQ) -> None:
    other = RabbitMQ(Home.make(short_folder / "other").rabbitmq)
    other.initialize()
    with running(other):
        with running(server) as process:
            helpers = process.children(recursive=True)
            with Connection(server.url, transport_options={"confirm_publish": True}) as connection:
                connection.SimpleQueue("kept").put("still here")
            process.suspend()  # the worst of both: frozen, then killed
            process.kill()
            wait_until(lambda: not any(is_alive(each) for each in (process, *helpers)), "all of it is gone", 5)
        server.initialize()
        with running(server), Connection(server.url) as connection, SimpleQueue(connection, "kept") as queue:
            assert queue.get(timeout=5).payload == "still here"
        with Connection(other.url) as connection, pytest.raises(connection.channel_errors):
            Queue("kept", channel=connection).queue_declare(passive=True)


@needs_rabbitmq
def test_port_and_password_stay_unless_the_port_is_taken(server: RabbitMQ, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.url
    server.initialize()
    assert server.url == url

    taken = port_of(server)
    free = ports.is_free
    monkeypatch.setattr(ports, "is_free", lambda port: port != taken and free(port))
    server.initialize()

    assert port_of(server) != taken
    assert str(server._address()["password"]) in url


@needs_rabbitmq
def test_secrets_are_for_the_user_alone(server: RabbitMQ) -> None:
    password = str(server._address()["password"])
    holders = [file for file in server.folder.iterdir() if file.is_file() and password in file.read_text()]

    assert {file.name for file in holders} == {"address.json", "rabbitmq.conf"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in holders} == {0o600}
    assert password not in " ".join([*server.command(), *server.environment.values()])


def test_without_rabbitmq_it_says_what_to_do(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INSTALLED", "nowhere/*")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotStart, match="apt install rabbitmq-server"):
        RabbitMQ(home.rabbitmq).initialize()


def test_one_that_is_too_old_is_refused(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in (tmp_path / "rabbitmq_server-3.9.13/sbin/rabbitmq-server", tmp_path / "erl"):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(mode=0o755)
    monkeypatch.setattr(module, "INSTALLED", str(tmp_path / "rabbitmq_server-*/sbin").lstrip("/"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotStart, match=r"3\.9\.13 is too old"):
        RabbitMQ(home.rabbitmq).initialize()


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server", (3, 10, 8)),
        ("/usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5/sbin/rabbitmq-server", (4, 0, 5)),
        ("/usr/local/bin/rabbitmq-server", ()),
    ],
)
def test_the_version_is_read_from_the_folder(path: str, version: tuple[int, ...]) -> None:
    assert _version(Path(path)) == version


def test_an_unknown_broker_is_refused_by_the_command_line(home: Home) -> None:
    done = helix("up", "--home", home.path, "--broker", "kafka")

    assert done.returncode == 2
    assert "rabbitmq" in done.stderr


@needs_rabbitmq
@pytest.mark.usefixtures("no_process_left")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_an_ordinary_user_can_run_it(short_folder: Path) -> None:
    short_folder.chmod(0o711)
    home = Home.make(short_folder / "theirs")
    server = RabbitMQ(home.rabbitmq)
    server.initialize()
    for path in (home.path, *home.path.rglob("*")):
        os.chown(path, 65_534, 65_534)
    with running(server, user=65_534) as process:
        assert process.uids().effective == 65_534
        process.send_signal(signal.SIGTERM)
        process.wait(20)
