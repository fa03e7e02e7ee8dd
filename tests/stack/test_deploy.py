"""One web after another on one socket, and successors that fail."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from helixnet.errors import CannotStart
from helixnet.stack import control, ports
from helixnet.stack.home import Home
from helixnet.stack.options import Options
from helixnet.stack.servers import ENVIRONMENT
from helixnet.stack.supervisor import Child, Program, StartFailed
from helixnet.stack.up import _Stack
from helixnet.stack.watch import Watch
from tests.conftest import free_port, wait_until
from tests.stack.conftest import helix

SLEEP = [sys.executable, "-c", "import signal; signal.pause()"]
# Tells that it is ready once the file is there.
TELL = (
    "import os, pathlib, sys, time\n"
    "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
    "os.write(int(sys.argv[3]), b'1'); time.sleep(60)"
)


async def always() -> bool:
    return True


def program(name: str, command: list[str], **more: object) -> Program:
    return Program(name, command, ENVIRONMENT, always, **more)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_program_that_tells_is_ready_when_it_says_so(home: Home, tmp_path: Path) -> None:
    word = tmp_path / "word"
    with Watch(home.children_file) as watch:
        child = Child(program("web", [sys.executable, "-c", TELL, str(word)], tells_ready=True), watch)
        starting = asyncio.create_task(child.start())
        await asyncio.to_thread(wait_until, lambda: child._process is not None, "it runs")
        assert not starting.done(), "it has not said anything yet"
        word.touch()
        await asyncio.wait_for(starting, 10)
        await child.stop()


@pytest.mark.anyio
async def test_a_successor_that_fails_leaves_the_old_one_alone(home: Home) -> None:
    with Watch(home.children_file) as watch, ports.bound(free_port()) as door:
        stack = _Stack(home, watch, Options(), door)
        old = Child(program("web", SLEEP), watch)
        await old.start()
        stack._children.append(old)
        with pytest.raises(StartFailed):
            await stack._succeed("web", program("web", [sys.executable, "-c", "raise SystemExit(1)"], tells_ready=True))

        assert stack._children == [old]
        process = old._process
        assert process is not None
        assert process.returncode is None

        await stack._succeed("web", program("web", SLEEP))
        (new,) = stack._children
        assert new is not old
        assert (new.generation, old._process) == (1, None)
        await new.stop()


@pytest.mark.anyio
async def test_one_that_retires_gets_its_own_signal_and_its_time(home: Home, tmp_path: Path) -> None:
    done, ready = tmp_path / "done", tmp_path / "ready"
    slow = (
        "import pathlib, signal, sys, time\n"
        "def retire(*_): time.sleep(0.5); pathlib.Path(sys.argv[1]).touch(); sys.exit()\n"
        "signal.signal(signal.SIGQUIT, retire); pathlib.Path(sys.argv[2]).touch(); signal.pause()"
    )

    async def is_up() -> bool:
        return ready.exists()

    command = [sys.executable, "-c", slow, str(done), str(ready)]
    with Watch(home.children_file) as watch:
        child = Child(
            Program("web", command, ENVIRONMENT, is_up, retire_signal=signal.SIGQUIT, retire_patience=20), watch
        )
        await child.start()
        await child.retire()

    assert done.exists()


@pytest.mark.anyio
async def test_a_stack_answers_what_it_is_asked_for(home: Home) -> None:
    async def works() -> str:
        return "done"

    async def fails() -> str:
        raise CannotStart("it\ncan't")

    async with control.listening(home, {"works": works, "fails": fails}):
        assert await asyncio.to_thread(control.ask, home, "works") == "done"
        with pytest.raises(control.Refused, match="it can't"):
            await asyncio.to_thread(control.ask, home, "fails")
        with pytest.raises(control.Refused, match="knows nothing"):
            await asyncio.to_thread(control.ask, home, "else")
        assert (home.run / "control" / "control.sock").parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", ["deploy", "stop", "url"])
def test_where_nothing_runs_the_commands_say_so(home: Home, command: str) -> None:
    done = helix(command, "--home", home.path)

    assert done.returncode == 1
    assert f"no HelixNet runs on {home.path}" in done.stderr
