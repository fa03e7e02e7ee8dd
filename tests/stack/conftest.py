"""The command line as users call it, and small children for the supervisor."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from helixnet.stack.home import Home


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of HelixNet, and with others instead."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HELIX_")} | more


def helix(
    *arguments: object, before: Sequence[str] = (), said: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command of `helix` to its end; `before` stands before it, `said` is its standard input."""
    command = [*before, sys.executable, "-m", "helixnet", *map(str, arguments)]
    environ = clean_environment(**environment)
    return subprocess.run(command, input=said, capture_output=True, text=True, timeout=240, env=environ, check=False)


def processes_naming(text: Path | str) -> list[psutil.Process]:
    """The living processes with a text in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and any(str(text) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short, and after which nothing may run that names it."""
    with tempfile.TemporaryDirectory(prefix="helix-t-", ignore_cleanup_errors=True) as path:
        yield Path(path)
        left = processes_naming(path)
        for process in left:
            process.send_signal(signal.SIGKILL)
        assert left == []


@pytest.fixture
def home(short_folder: Path) -> Home:
    return Home.make(short_folder / "home")
