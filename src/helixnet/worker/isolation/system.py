"""What isolation asks of the operating system: to adopt orphans, to end all descendants, to set limits.

On Linux a process can adopt its orphaned descendants (PR_SET_CHILD_SUBREAPER), so none escapes by leaving its session
or by forking twice. Other POSIX systems have nothing like it: there the process group is killed, and what psutil finds
below it; a process that has done both escapes.
"""

import contextlib
import os
import resource
import signal
import threading
import time
from pathlib import Path

import psutil

from helixnet.processors.base import ProcessLimits
from helixnet.walls import kernel
from helixnet.walls.kernel import LINUX

# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
LOOK_SECONDS = 0.005


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended (Linux)."""
    kernel.control(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which forked it, ends (Linux)."""
    kernel.control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was asked for
        os._exit(os.EX_SOFTWARE)


def apply(limits: ProcessLimits) -> None:
    """Put this process and its later children under limits; none is ever raised."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    # At the soft limit the kernel sends SIGXCPU, which tells the reason; at the hard one it kills.
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, hard_more=1)


def is_single_threaded() -> bool:
    """Whether this process has one thread and so can fork; native ones count on Linux, Python's own elsewhere."""
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - names are all that is asked for
    except FileNotFoundError:
        return threading.active_count() == 1


def wait_for_children(seconds: float) -> None:
    """Give the children so long to end by themselves."""
    end = time.monotonic() + seconds
    while _reap(os.WNOHANG) and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)


def end_descendants() -> None:
    """Kill everything that this process has started, with everything that those have, and return when all are gone.

    Only own children are signalled: their numbers can't pass to another process before they are waited for. What they
    leave behind is adopted and killed in the next round.
    """
    if not LINUX:
        _kill_what_psutil_finds()
    while _reap(os.WNOHANG):
        children = _children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if children:
            _reap(0)


def _reap(options: int) -> bool:
    """Take note of children that have ended, with options 0 of one at least; answers whether any is left."""
    try:
        while os.waitpid(-1, options)[0]:
            options = os.WNOHANG
    except ChildProcessError:
        return False
    return True


def _children() -> list[int]:
    if not LINUX:
        return [process.pid for process in _psutil_children(recursive=False)]
    me = os.getpid()
    try:
        found = [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
    except FileNotFoundError:
        found = []  # a kernel without CONFIG_PROC_CHILDREN
    # proc_pid_task_children(5): the list may be incomplete while children come and go.
    return found or [int(name) for name in os.listdir("/proc") if name.isdecimal() and _parent(name) == me]  # noqa: PTH208


def _parent(pid: str) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _kill_what_psutil_finds() -> None:
    for process in _psutil_children(recursive=True):
        with contextlib.suppress(Exception):  # it is gone, or out of reach
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            process.kill()


def _psutil_children(recursive: bool) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children(recursive=recursive)
    return found


def _limit(kind: int, value: int | None, hard_more: int = 0) -> None:
    if value is None:
        return
    _soft, most = resource.getrlimit(kind)
    hard = value + hard_more if most == resource.RLIM_INFINITY else min(value + hard_more, most)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses some of them
        resource.setrlimit(kind, (min(value, hard), hard))
