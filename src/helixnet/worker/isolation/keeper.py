"""The keeper: the parent of an isolated process, which ends it with everything that it started.

It is told an attempt's limits, and waits for one of three things: the end of the process, the closing of the worker's
end of `control`, or that the process takes more than it may. Then it kills what is left, waits until nothing is,
reports how the process ended, and removes the scratch folder.
"""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import orjson

from helixnet.processors.base import ProcessLimits
from helixnet.worker.files import remove_folder
from helixnet.worker.isolation import system
from helixnet.worker.isolation.watch import Consent, LastWords, Use

LONGEST_LINE = 4096
# What the process does, given a socket: there it hands over the listener that agrees to what it starts, if it has one.
Work = Callable[[socket.socket], None]


def keep(control: socket.socket, scratch: str, work: Work, forked: Callable[[], None]) -> NoReturn:
    """Run `work` in a child process, and see to its end. `forked` is called beside it, to close what is the child's."""
    os.setsid()
    system.adopt_orphans()
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # so that the socket above hears of it
    ours, its = socket.socketpair()
    heard, said = os.pipe()
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.dup2(said, 2)
        for descriptor in (heard, said):
            os.close(descriptor)
        _begin(me, (control, woken, wake, ours), lambda: work(its))
    os.close(said)
    its.close()
    forked()
    watch = _Watch(pid, scratch, LastWords(heard))
    status = watch.wait(control, woken, ours)
    signal.set_wakeup_fd(-1)
    system.end_descendants()
    with contextlib.suppress(OSError):
        control.sendall(orjson.dumps(watch.report(status)) + b"\n")
    remove_folder(Path(scratch))
    os._exit(os.EX_OK)


def _begin(keeper: int, others: tuple[socket.socket, ...], work: Callable[[], None]) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        system.die_with(keeper)
        for end in others:
            end.close()
        work()
        os._exit(os.EX_OK)
    except SystemExit as error:
        os._exit(error.code if isinstance(error.code, int) else os.EX_SOFTWARE)
    finally:
        os._exit(os.EX_SOFTWARE)


class _Watch:
    """Waits for the end of a process, and sees meanwhile what it does."""

    def __init__(self, pid: int, scratch: str, words: LastWords) -> None:
        self._pid = pid
        self._scratch = scratch
        self._words = words
        self._use: Use | None = None
        self._limits = ProcessLimits()
        self._over: str | None = None
        self._poll = select.poll()

    def wait(self, control: socket.socket, woken: socket.socket, handed: socket.socket) -> int | None:
        """The status that the process ended with; None when it has not: the worker let go of it, or it is over one of
        its limits. Others that end are adopted ones, and none of our business."""
        consent: Consent | None = None
        for descriptor in (control, woken, handed, self._words.pipe):
            self._poll.register(descriptor, select.POLLIN)
        while True:
            ready = dict(self._poll.poll(None if self._use is None else self._use.wait_seconds * 1000))
            with contextlib.suppress(BlockingIOError):
                while woken.recv(4096):
                    pass
            if self._words.pipe in ready and not self._words.hear():
                self._poll.unregister(self._words.pipe)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    if ended[0] == self._pid:
                        return ended[1]
            if control.fileno() in ready and not self._is_told(control):
                return None
            if handed.fileno() in ready:
                self._poll.unregister(handed)
                consent = self._consent(handed)
            if consent is not None and (event := ready.get(consent.listener)):
                if not event & select.POLLIN:
                    self._poll.unregister(consent.listener)  # nobody is left to ask
                elif not consent.answer():
                    self._over = "processes"
            self._over = self._over or (self._use.excess() if self._use else None)
            if self._over:
                return None

    def _is_told(self, control: socket.socket) -> bool:
        """The worker has an attempt for the process, under these limits; False when it lets go of it."""
        line = control.recv(LONGEST_LINE)
        if line:
            self._limits = ProcessLimits(**orjson.loads(line))
            self._use = Use(self._limits, self._scratch)
        return bool(line)

    def report(self, status: int | None) -> dict[str, object]:
        """How the process ended, in the words of the launcher."""
        if status is None:
            return {} if self._over is None else {"limit": self._over}
        self._words.hear()
        return {"exit": os.waitstatus_to_exitcode(status), "said": self._words.text}

    def _consent(self, handed: socket.socket) -> Consent | None:
        _bytes, descriptors, _flags, _address = socket.recv_fds(handed, 1, 1)
        handed.close()
        if not descriptors or self._limits.processes is None:
            return None
        self._poll.register(descriptors[0], select.POLLIN)
        return Consent(descriptors[0], self._limits.processes)
