"""A TCP proxy for drills: at a word its connections go silent, as if somebody had pulled a cable on the way, or lose
the answers alone."""

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.conftest import free_port

CHUNK = 65_536


class Proxy:
    """Passes bytes between clients and one server, whose address is a TCP port of this machine or a unix socket."""

    def __init__(self, upstream: "int | Path") -> None:
        self.port = free_port()
        self.accepted = 0
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._sockets: list[socket.socket] = []
        # Of the connections that there are, one for each direction; the next ones get events of their own.
        self._silent = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: "type[BaseException] | None", _error: "BaseException | None", _at: "TracebackType | None"
    ) -> None:
        # A thread that waits in accept() keeps the port open until it is woken.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def go_silent(self) -> None:
        """From now on the present connections stay open and carry nothing, for ever; new ones work."""
        self.lose_answers()[0].set()

    def lose_answers(self) -> tuple[threading.Event, threading.Event]:
        """From now on what the server says on the present connections is lost, and what it is told is not."""
        silent, self._silent = self._silent, (threading.Event(), threading.Event())
        silent[1].set()
        return silent

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = self._connect()
            except OSError:
                return
            self.accepted += 1
            self._sockets += [client, server]
            for source, target, silent in zip((client, server), (server, client), self._silent, strict=True):
                threading.Thread(target=_pump, args=(source, target, silent), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._upstream, int):
            return socket.create_connection(("127.0.0.1", self._upstream))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._upstream))
        return server


def _pump(source: socket.socket, target: socket.socket, silent: threading.Event) -> None:
    """Pass bytes on until the end, which is passed on too, unless the connection is silent."""
    try:
        while chunk := source.recv(CHUNK):
            if not silent.is_set():
                target.sendall(chunk)
    except OSError:
        pass
    if not silent.is_set():
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
