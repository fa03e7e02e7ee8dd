"""The template: a process beside a worker process that has imported what isolated processors need, and forks them.

It is started with a clean environment and knows no secret, so neither does what it forks. It never runs a second
thread and never reads what a job says; the keeper that it forks for an attempt forks the process that does.
It ends, and with it everything below it, when the worker's end of its socket closes, however that came about.
"""

import asyncio  # noqa: F401 - imported ahead for those that are forked
import contextlib
import gc
import os
import signal
import socket

import orjson

from helixnet.processors.base import ProcessLimits
from helixnet.worker.isolation import child, keeper, system
from helixnet.worker.isolation.origin import Origin

LONGEST_LINE = 64 * 1024
KEEPERS_SECONDS = 0.3
IMPORTED, NOT_IMPORTED = 0, 1


def main() -> None:
    """Answer a worker's requests, which come by the socket that standard input is, until it closes."""
    worker = socket.socket(fileno=os.dup(0))
    _leave_standard_streams()
    system.adopt_orphans()
    # What is forked and what is adopted is not waited for one by one.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    template = _Template(worker)
    worker.sendall(b"{}\n")
    with contextlib.suppress(ConnectionError):
        while template.answer():
            pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # The keepers have heard of it too, and each has a folder to remove.
    system.wait_for_children(KEEPERS_SECONDS)
    system.end_descendants()


class _Template:
    def __init__(self, worker: socket.socket) -> None:
        self._worker = worker
        self._seen = set[Origin]()

    def answer(self) -> bool:
        """Do one thing that is asked for; False when the worker is gone."""
        line, descriptors, _flags, _address = socket.recv_fds(self._worker, LONGEST_LINE, 2)
        if not line:
            return False
        asked = orjson.loads(line)
        origin = Origin(**asked["origin"])
        self._prepare(origin)
        if descriptors:
            control, data = descriptors
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            try:
                pid = os.fork()
            except OSError as error:
                os.close(control)
                os.close(data)
                self._worker.sendall(orjson.dumps({"error": str(error)}) + b"\n")
                return True
            if pid == 0:
                self._become_keeper(control, data, origin, asked["scratch"], ProcessLimits(**asked["limits"]))
            os.close(control)
            os.close(data)
        self._worker.sendall(b"{}\n")
        return True

    def _prepare(self, origin: Origin) -> None:
        """Import a processor ahead, if that is harmless: what starts threads can't be forked afterwards.

        A process that is forked for it finds out. Those with threads, and those that fail, are imported by each
        attempt's own process.
        """
        if origin in self._seen:
            return
        self._seen.add(origin)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            system.die_with(me)
            os._exit(_try_import(origin))
        _pid, status = os.waitpid(pid, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if os.waitstatus_to_exitcode(status) == IMPORTED:
            origin.load()
            gc.collect()
            gc.freeze()

    def _become_keeper(self, control: int, data: int, origin: Origin, scratch: str, limits: ProcessLimits) -> None:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._worker.close()
            keeper.keep(
                socket.socket(fileno=control),
                scratch,
                lambda: child.main(data, origin, scratch, limits),
                forked=lambda: os.close(data),
            )
        finally:
            os._exit(os.EX_SOFTWARE)


def _try_import(origin: Origin) -> int:
    try:
        origin.load()
    except BaseException:  # noqa: BLE001 - the attempt itself will meet it, and tell
        return NOT_IMPORTED
    return IMPORTED if system.is_single_threaded() else NOT_IMPORTED


def _leave_standard_streams() -> None:
    """Neither the template nor what it forks reads from or writes to the worker's streams."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


if __name__ == "__main__":
    main()
