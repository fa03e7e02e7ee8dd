"""Processes that the benchmarks start: each in a group of its own, so that nothing of it is left behind."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.dialogue import READY

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.01


class BenchmarkError(Exception):
    """Something that was to be measured did not start, or did not finish in its time."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> None:
    """Look at a condition until it holds; raises BenchmarkError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BenchmarkError(f"after {seconds:g} s still not: {what}")
        time.sleep(LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Submitted:
    """When the first job of a batch was submitted and when the last one was, on the monotonic clock in seconds."""

    first: float
    last: float


class Process:
    """A running process; its words go to a log file, and its standard output to the program if it `talks`."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, *, talks: bool = False
    ) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                list(command),
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else file,
                stderr=file,
                start_new_session=True,
            )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        if talks:
            threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something holds of the running process; raises BenchmarkError with its last words if it ends."""

        def holds_or_over() -> bool:
            return bool(condition()) or self._process.poll() is not None

        wait_until(holds_or_over, f"{what}\n{self.last_words()}")
        if self._process.poll() is not None:
            raise BenchmarkError(f"ended before {what}:\n{self.last_words()}")

    def wait_ready(self) -> None:
        """Wait for the word `ready`."""
        while self._line(START_SECONDS) != READY:
            pass

    def submit(self, count: int, seconds: float) -> Submitted:
        """Have it submit a batch; raises BenchmarkError when that takes more than `seconds`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n".encode())
        self._process.stdin.flush()
        while not (line := self._line(seconds)).startswith("{"):
            pass  # a library's own words
        said: dict[str, Any] = json.loads(line)
        return Submitted(said["first"], said["last"])

    def memory(self) -> int:
        """The resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def run_to_end(self, seconds: float = START_SECONDS) -> None:
        """Wait for its end; raises BenchmarkError unless that is a good one."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise BenchmarkError(f"not done after {seconds:g} s:\n{self.last_words()}") from None
        if code != 0:
            raise BenchmarkError(f"ended with {code}:\n{self.last_words()}")

    def last_words(self) -> str:
        return self._log.read_bytes()[-2000:].decode(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and all that it started."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.decode(errors="replace").strip())
        self._lines.put(None)

    def _line(self, seconds: float) -> str:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise BenchmarkError(f"said nothing for {seconds:g} s:\n{self.last_words()}") from None
        if line is None:
            raise BenchmarkError(f"ended:\n{self.last_words()}")
        return line


class Group:
    """Processes that begin and end together: the last one started is the first to end."""

    def __init__(self) -> None:
        self.processes: list[Process] = []

    def add(self, process: Process) -> Process:
        self.processes.append(process)
        return process

    def stop(self) -> None:
        while self.processes:
            self.processes.pop().stop()


@contextlib.contextmanager
def group() -> Iterator[Group]:
    """A group whose processes are ended with the block, whatever happens."""
    processes = Group()
    try:
        yield processes
    finally:
        processes.stop()
