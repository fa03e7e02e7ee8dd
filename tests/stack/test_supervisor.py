"""Children are kept running, and ended with everything they started."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from helixnet.stack.programs import in_thread
from helixnet.stack.supervisor import Child, Program, StartFailed
from helixnet.stack.watch import Watch
from tests.conftest import is_alive, wait_until

Supervise = Callable[[Program], Child]

pytestmark = pytest.mark.anyio

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inside = subprocess.Popen(["sleep", "600"])
outside = subprocess.Popen(["sleep", "600"], start_new_session=True)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()} {inside.pid} {outside.pid}\\n")
time.sleep(600)
"""


@pytest.fixture
async def supervise(tmp_path: Path) -> AsyncIterator[Supervise]:
    """Makes children, and stops them after the test however it ended."""
    children: list[Child] = []
    with Watch(tmp_path / "children.json") as watch:

        def make(program: Program) -> Child:
            children.append(Child(program, watch))
            return children[-1]

        yield make
        for child in children:
            await child.stop()


def program(code: str, notes: Path, patience: float = 0.2) -> Program:
    def has_written() -> bool:
        return notes.exists() and notes.read_text().endswith("\n")

    command = [sys.executable, "-c", code, str(notes)]
    return Program("it", command, dict(os.environ), in_thread(has_written), patience=patience)


def family(notes: Path, generation: int) -> list[psutil.Process]:
    """The main process of a generation, its child, and its child that left for a session of its own."""
    return [psutil.Process(int(word)) for word in notes.read_text().splitlines()[generation].split()]


async def test_a_child_that_does_not_listen_is_killed_with_all_that_it_started(
    tmp_path: Path, supervise: Supervise
) -> None:
    notes = tmp_path / "notes"
    child = supervise(program(STUBBORN, notes))
    await child.start()
    main, inside, outside = family(notes, 0)
    assert is_alive(main)

    await child.stop()

    assert not is_alive(main)
    wait_until(lambda: not is_alive(inside) and not is_alive(outside), "all are gone")


async def test_a_killed_child_starts_again_and_its_orphans_are_killed_first(
    tmp_path: Path, supervise: Supervise
) -> None:
    notes = tmp_path / "notes"
    child = supervise(program(STUBBORN, notes))
    await child.start()
    main, orphan, outside = family(notes, 0)

    main.kill()
    await asyncio.to_thread(wait_until, lambda: len(notes.read_text().splitlines()) == 2, "it is back")

    outside.kill()
    wait_until(lambda: not is_alive(orphan), "the orphan is gone")
    assert is_alive(family(notes, 1)[0])
    await child.stop()


async def test_a_child_that_can_not_be_started_for_a_while_is_started_afterwards(
    tmp_path: Path, supervise: Supervise, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """As where the disk is full, or the machine has no process to give."""
    notes, logs = tmp_path / "notes", tmp_path / "logs"
    logs.mkdir()
    child = supervise(replace(program(STUBBORN, notes), output=logs / "it.log"))
    await child.start()
    main, _inside, _outside = family(notes, 0)
    shutil.rmtree(logs)
    (tmp_path / "children.new").mkdir()  # and what runs can't be written down

    said = ""
    main.kill()
    async with asyncio.timeout(60):
        while "can't be started" not in said + caplog.text:
            await asyncio.sleep(0.05)
            said += capsys.readouterr().out
    logs.mkdir()

    async with asyncio.timeout(60):
        while len(notes.read_text().splitlines()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert "could not be written down" in said + caplog.text
    assert is_alive(family(notes, 1)[0])


async def test_a_child_that_can_not_start_is_told_with_its_log(tmp_path: Path, supervise: Supervise) -> None:
    log = tmp_path / "it.log"

    async def never() -> bool:
        return False

    broken = Program("it", [sys.executable, "-c", "raise SystemExit('no')"], dict(os.environ), never, output=log)
    child = supervise(broken)

    with pytest.raises(StartFailed, match=r"it ended 3 times before it was ready; see .*it\.log"):
        await child.start()

    await child.stop()
    assert log.read_text().count("no") >= 3


async def test_a_child_that_waits_for_its_restart_stops_at_once(tmp_path: Path, supervise: Supervise) -> None:
    async def at_once() -> bool:
        return True

    child = supervise(Program("it", [sys.executable, "-c", ""], dict(os.environ), at_once))
    await child.start()
    await asyncio.to_thread(wait_until, lambda: child._process is None, "it has ended")
    before = time.monotonic()

    await child.stop()

    assert time.monotonic() - before < 1
