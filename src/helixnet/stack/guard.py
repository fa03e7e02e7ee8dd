"""The guard: a small process beside the supervisor, which ends the children of one that was killed.

The supervisor holds the other end of the guard's standard input and writes there, as lines of JSON, which children
run. The kernel closes that pipe when the supervisor dies, however it dies. (Linux could signal children itself by
PR_SET_PDEATHSIG, but not their children, and it forgets to when a child changes its account, as PostgreSQL's must.)

It is run by its path, outside the package, so that it starts in a moment and stays small.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 8.0
PROC_SELF = Path("/proc/self/stat")  # Linux


@dataclass(frozen=True, slots=True)
class Trace:
    """What it takes to find a child again: it leads the process group `pid`, and `birth` tells it from a later
    process with the same number. `last_signal` ends it when nobody waits for its work any more."""

    name: str
    pid: int
    birth: str
    last_signal: int


def birth(pid: int) -> str | None:
    """When a process began, in a form that a change of the clock can't touch; None when it is gone or a zombie."""
    if not PROC_SELF.exists():
        return _birth_without_proc(pid)
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc_pid_stat(5): the words after the name are the state and, 19 later, the start in ticks since the boot.
    return None if words[0] in "ZX" else f"{_boot()}/{words[19]}"


def end(traces: Iterable[Trace], patience_seconds: float = PATIENCE_SECONDS) -> list[Trace]:
    """End these children with all that they started, and return once they are gone; answers those that still ran.

    Each gets its `last_signal`, and after `patience_seconds` its process group and its descendants are killed.
    """
    traces = list(traces)
    living = [trace for trace in traces if birth(trace.pid) == trace.birth]
    descendants = [process for trace in living for process in descendants_of(trace.pid)]
    for trace in living:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(trace.pid, trace.last_signal)
    limit = time.monotonic() + patience_seconds
    while any(birth(trace.pid) == trace.birth for trace in living) and time.monotonic() < limit:
        time.sleep(LOOK_SECONDS)
    for trace in traces:
        _kill_group(trace)
    for process in descendants:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()  # psutil looks first whether it is the same process still
    return living


def dump(traces: Iterable[Trace]) -> bytes:
    """Traces as one line."""
    return json.dumps([asdict(trace) for trace in traces]).encode() + b"\n"


def load(line: bytes) -> list[Trace]:
    """The traces of a line that `dump` made."""
    return [Trace(**fields) for fields in json.loads(line)]


def _birth_without_proc(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{_boot()}/{process.create_time()}"
    except psutil.NoSuchProcess:
        return None


def _kill_group(trace: Trace) -> None:
    """Kill what is left of a child's process group, unless its number belongs to somebody else by now."""
    now = birth(trace.pid)
    is_another = now is not None and now != trace.birth
    is_from_before_the_boot = trace.birth.partition("/")[0] != _boot()
    if not (is_another or is_from_before_the_boot):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(trace.pid, signal.SIGKILL)


def descendants_of(pid: int) -> list[psutil.Process]:
    """What a process has started, and what that has, as far as it still runs."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except FileNotFoundError:
        return str(int(psutil.boot_time()))


def main() -> None:
    # A terminal's Ctrl-C and a hang-up are for the supervisor to answer; the guard ends when the pipe does.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    newest = dump([])
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):
            newest = line
    end(load(newest))


if __name__ == "__main__":
    main()
