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
import sys
from typing import Any

import orjson

from helixnet.worker.isolation import child, keeper, places, system
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
    for origin in orjson.loads(sys.argv[2]):
        template.prepare(Origin(**origin))
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
        self._heard = b""
        self._descriptors: list[int] = []
        self._seen = set[Origin]()
        self._walls = {(False, False)}

    def answer(self) -> bool:
        """Do what is asked for in the next message, or the next few; False when the worker is gone."""
        part, descriptors, _flags, _address = socket.recv_fds(self._worker, LONGEST_LINE, 2)
        if not part:
            return False
        self._heard += part
        # The kernel ends a read where descriptors come along: they belong to the last line that it brought.
        self._descriptors += descriptors
        while b"\n" in self._heard:
            line, _, self._heard = self._heard.partition(b"\n")
            asked = orjson.loads(line)
            answer = self._do(asked)
            # An order for a spare process names no origin and has no answer: a socket that nobody reads from is full
            # one day, and whoever writes to it waits for ever.
            if "origin" in asked:
                self._worker.sendall(orjson.dumps(answer) + b"\n")
        return True

    def _do(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "origin" in asked:
            self.prepare(Origin(**asked["origin"]))
        if "scratch" not in asked:
            return {}
        (control, data), self._descriptors = self._descriptors[:2], self._descriptors[2:]
        for descriptor in (control, data):
            os.set_inheritable(descriptor, False)
        # Looked up once for all that are forked.
        for network, programs in self._walls:
            places.of_machine(network=network, programs=programs)
        try:
            pid = os.fork()
        except OSError as error:
            return {"error": str(error)}
        else:
            if pid == 0:
                self._become_keeper(control, data, asked["scratch"])
            return {}
        finally:
            os.close(control)
            os.close(data)

    def prepare(self, origin: Origin) -> None:
        """Import a processor ahead, if that is harmless: what starts threads can't be forked afterwards.

        A process that is forked for it finds out, with the libraries that the processor names and without. Those that
        have threads even so, and those that fail, are imported by each attempt's own process.
        """
        if origin in self._seen:
            return
        self._seen.add(origin)
        for libraries in (True, False):
            if self._can_import(origin, libraries):
                limits = origin.load(libraries=libraries).limits
                self._walls.add((limits.network, limits.processes != 0))
                places.of_machine.cache_clear()
                gc.collect()
                gc.freeze()
                return

    def _can_import(self, origin: Origin, libraries: bool) -> bool:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            system.die_with(me)
            os._exit(_try_import(origin, libraries))
        _pid, status = os.waitpid(pid, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        return os.waitstatus_to_exitcode(status) == IMPORTED

    def _become_keeper(self, control: int, data: int, scratch: str) -> None:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._worker.close()
            keeper.keep(
                socket.socket(fileno=control),
                scratch,
                lambda told: child.main(data, scratch, told),
                forked=lambda: os.close(data),
            )
        finally:
            os._exit(os.EX_SOFTWARE)


def _try_import(origin: Origin, libraries: bool) -> int:
    try:
        origin.load(libraries=libraries)
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
