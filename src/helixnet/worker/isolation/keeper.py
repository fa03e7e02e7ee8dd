"""The keeper: the parent of an isolated process, which ends it with everything that it started.

It waits for one of two things: the end of the process, or the closing of the worker's end of `control`. Either way
it kills what is left, waits until nothing is, reports how the process ended, and removes the scratch folder.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import orjson

from helixnet.worker.isolation import system


def keep(control: socket.socket, scratch: str, work: Callable[[], None], forked: Callable[[], None]) -> NoReturn:
    """Run `work` in a child process, and see to its end. `forked` is called beside it, to close what is the child's."""
    os.setsid()
    system.adopt_orphans()
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # so that the socket above hears of it
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        _begin(me, control, woken, wake, work)
    forked()
    status = _wait(pid, control, woken)
    signal.set_wakeup_fd(-1)
    system.end_descendants()
    report = {} if status is None else {"exit": os.waitstatus_to_exitcode(status)}
    with contextlib.suppress(OSError):
        control.sendall(orjson.dumps(report) + b"\n")
    remove(scratch)
    os._exit(os.EX_OK)


def remove(scratch: str) -> None:
    """Remove a scratch folder, also where the processor has taken its own right to a folder away."""
    shutil.rmtree(scratch, ignore_errors=True)
    for folder, folders, _files in os.walk(scratch):
        for name in folders:
            with contextlib.suppress(OSError):
                path = Path(folder, name)
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(scratch, ignore_errors=True)


def _begin(
    keeper: int, control: socket.socket, woken: socket.socket, wake: socket.socket, work: Callable[[], None]
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        system.die_with(keeper)
        for end in (control, woken, wake):
            end.close()
        work()
        os._exit(os.EX_OK)
    except SystemExit as error:
        os._exit(error.code if isinstance(error.code, int) else os.EX_SOFTWARE)
    finally:
        os._exit(os.EX_SOFTWARE)


def _wait(pid: int, control: socket.socket, woken: socket.socket) -> int | None:
    """The status that the process ended with; None when the worker let go of it before. Others that end are adopted
    ones, and none of our business."""
    while True:
        ready, _, _ = select.select((control, woken), (), ())
        with contextlib.suppress(BlockingIOError):
            while woken.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == pid:
                    return ended[1]
        if control in ready:
            return None
