"""The walls around an isolated process: hostile processors try what they may not, on the kernel that there is."""

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from helixnet.walls import missing
from helixnet.worker.isolation.errors import ProcessorFailed
from tests.conftest import is_alive
from tests.worker.hostile import BOMB, CONNECT, CONNECT_ALLOWED, DISTURB, DONE, FEW, LIBRARIES, READ, START, WRITE
from tests.worker.isolating import IsolatedBench

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(missing()), reason=f"This kernel lacks walls, as the worker's log says: {missing()}"),
]


@pytest.fixture
def neighbour() -> Iterator[psutil.Popen]:
    """Another process of the worker's account."""
    with psutil.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


@pytest.fixture
def listeners(folder: Path) -> Iterator[tuple[int, Path]]:
    """The port of a TCP server that listens on this machine, and the path of a unix socket's."""
    path = folder / "walls.sock"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        yield server.getsockname()[1], path
    path.unlink()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the worker's account."""
    path = tmp_path / "secret"
    path.write_text("the worker's")
    return path


async def test_nothing_that_is_somebodys_own_can_be_read(
    bench: IsolatedBench, neighbour: psutil.Popen, secret: Path
) -> None:
    others = await bench.attempt(b"another's input")
    stored = (bench.blobs.folder or Path()) / others.inputs["content_key"].key

    found = await bench.run(
        READ,
        b"own",
        files=[str(secret), str(stored), __file__.replace("test_walls.py", "../../pyproject.toml")],
        pid=neighbour.pid,
        scratch_of_others=tempfile.gettempdir(),
    )

    assert set(found.values()) == {"EACCES"}
    assert len(found) == 11


async def test_only_the_scratch_folder_can_be_written(bench: IsolatedBench) -> None:
    context = await bench.attempt(b"moon")

    found: Any = await bench.isolation.run(WRITE, context, WRITE.params())

    own = {name: outcome for name, outcome in found.items() if name.startswith(("own", "null"))}
    assert set(own.values()) == {DONE}
    assert {name: found[name] for name in found if name not in own} == {
        "input": "EACCES",
        "append": "EACCES",
        "truncate": "EACCES",
        "remove": "EACCES",
        "rename": "EACCES",
        "link": "EXDEV",
        "beside": "EACCES",
        "library": "EACCES",
        "tmp": "EACCES",
        "mode": DONE,
        "attribute": "ENOTSUP",
    }
    key = context.inputs["content_key"].key
    stored = (bench.blobs.folder or Path()) / key
    assert await bench.blobs.get(key, 100) == b"moon"
    assert stored.stat().st_mode & 0o777 != 0o777, "a change of modes is taken, and not made"
    assert [path.name for path in stored.parent.iterdir()] == [stored.name]


async def test_no_way_leads_to_the_network(bench: IsolatedBench, listeners: tuple[int, Path]) -> None:
    port, path = listeners

    found = await bench.run(CONNECT, port=port, socket_path=str(path))

    assert found.pop("pair") == DONE
    assert found.pop("io_uring") == "ENOSYS"
    assert set(found.values()) == {"EACCES"}
    assert len(found) == 8


async def test_a_processor_that_asks_for_the_network_connects_by_ip_alone(
    bench: IsolatedBench, listeners: tuple[int, Path]
) -> None:
    port, path = listeners

    found = await bench.run(CONNECT_ALLOWED, port=port, socket_path=str(path))

    assert {name for name, outcome in found.items() if outcome == DONE} == {"tcp", "udp", "pair"}
    assert found["unix"] == "EACCES"


async def test_no_process_can_be_started_and_threads_can(bench: IsolatedBench) -> None:
    found = await bench.run(START)

    assert found == {
        "fork": "EAGAIN",
        "program": "EAGAIN",
        "spawn": "EAGAIN",
        "shell": "EAGAIN",
        "replace": "EPERM",
        "clone": "EAGAIN",
        "clone3": "ENOSYS",
        "namespace": "EPERM",
        "threads": DONE,
    }


async def test_no_other_process_can_be_disturbed(bench: IsolatedBench, neighbour: psutil.Popen) -> None:
    found = await bench.run(DISTURB, pid=neighbour.pid)

    assert found.pop("own signal") == DONE
    assert found.pop("memory file") == "EACCES"
    assert found.pop("own limit") == "ValueError", "root is bound too"
    assert found.pop("unknown call") == "ENOSYS"
    assert set(found.values()) == {"EPERM"}
    assert len(found) == 10
    assert is_alive(neighbour)


async def test_a_fork_bomb_ends_the_attempt(bench: IsolatedBench) -> None:
    before = len(psutil.pids())

    with pytest.raises(ProcessorFailed) as failed:
        await bench.run(BOMB)

    assert (failed.value.message, failed.value.kind) == ("The work started more processes than it may.", "limit")
    assert len(psutil.pids()) < before + 50
    assert (await bench.run(START))["threads"] == DONE, "the next attempt is none the worse"


async def test_processes_that_are_allowed_are_behind_the_same_walls(
    bench: IsolatedBench, neighbour: psutil.Popen
) -> None:
    found = await bench.run(FEW, pid=neighbour.pid)

    assert (found["kill"], found["keeper"], found["trace"]) == ("EPERM", "EPERM", "EPERM")
    assert (found["own child"], found["ended"]) == (DONE, -9)
    assert is_alive(neighbour)


async def test_libraries_find_what_they_need(bench: IsolatedBench) -> None:
    found = await bench.run(LIBRARIES)

    assert found == {
        "sqlite": [[1]],
        "certificates": True,
        "time zone": "Europe/Berlin",
        "media type": "image/svg+xml",
        "template": "1",
        "own package": "tests.worker.proxy",
        "random": 8,
        "memory": True,
        "itself": True,
        "processors": True,
        "fonts": True,
    }


async def test_attempts_beside_each_other_have_walls_of_their_own(bench: IsolatedBench) -> None:
    found = await asyncio.gather(*(bench.run(START) for _ in range(4)))

    assert [each["threads"] for each in found] == [DONE] * 4
    assert os.access("/etc/passwd", os.R_OK), "the worker itself has none"
