"""Starts that are interrupted, that meet another one, or that come after a bad end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import Stack, free_port, is_alive, wait_until
from tests.stack.conftest import clean_environment, helix, processes_naming


def start_up(home: Path, port: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "helixnet", "up", "--home", str(home), "--port", str(port)]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=clean_environment()
    )


def test_commands_that_meet_on_a_home_wait_for_each_other(short_folder: Path) -> None:
    command = [sys.executable, "-m", "helixnet", "users", "seed", "--home", str(short_folder / "home")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) for _ in range(2)]

    words = [process.communicate(timeout=240)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], words
    assert sum(text.count("Created new account") for text in words) == 4


def test_a_command_takes_its_profile_from_the_stack_that_runs(short_folder: Path) -> None:
    stack = Stack(short_folder / "home", {"HELIX_PROFILE": "production"})
    stack.start()

    seeded = helix("users", "seed", "--home", stack.home)
    code = stack.stop()

    assert (code, seeded.stderr) == (0, "")
    assert "No accounts were made" in seeded.stdout


def test_a_proxy_of_the_environment_is_not_asked_for_the_stack_itself(short_folder: Path) -> None:
    stack = Stack(short_folder / "home", {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""})
    stack.start()

    assert stack.stop() == 0


def test_a_database_that_does_not_answer_is_told(short_folder: Path) -> None:
    url = f"postgresql://helix@127.0.0.1:{free_port()}/helix"

    refused = helix("up", "--home", short_folder / "home", "--port", free_port(), HELIX_DATABASE_URL=url)

    assert refused.returncode == 1
    assert "helix: the database does not answer: " in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def starting(short_folder: Path) -> Iterator["subprocess.Popen[str]"]:
    process = start_up(short_folder / "home", free_port())
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("moment", "number"),
    [("postgres.new", signal.SIGINT), ("run/pg/.s.PGSQL.5432", signal.SIGTERM), ("run/stack.json", signal.SIGHUP)],
)
def test_a_stack_that_still_starts_stops_as_well(
    starting: "subprocess.Popen[str]", short_folder: Path, moment: str, number: signal.Signals
) -> None:
    wait_until((short_folder / "home" / moment).exists, moment)

    starting.send_signal(number)
    _output, words = starting.communicate(timeout=20)

    assert starting.returncode == 0, words
    assert processes_naming(short_folder) == []


def test_what_a_supervisor_and_its_guard_left_is_ended_by_the_next_start(own_stack: Stack) -> None:
    assert own_stack.process is not None
    everyone = psutil.Process(own_stack.process.pid).children(recursive=True)
    (guard,) = [child for child in everyone if any("guard.py" in word for word in child.cmdline())]
    guard.kill()
    os.kill(own_stack.process.pid, signal.SIGKILL)
    own_stack.process.wait()
    assert any(is_alive(process) for process in everyone)

    own_stack.start()

    assert not any(is_alive(process) for process in everyone)
    assert own_stack.is_ready()
