"""The web's server: uvicorn's, which can also hand its work over to a successor without refusing a request.

SIGTERM ends it at once: what is being answered gets `GRACE_SECONDS`. SIGQUIT lets it retire, as with nginx: it takes
no new connections, tells the clients that it has to open their next one elsewhere, waits until none of them can still
hold this one for alive, answers what is being asked, and ends.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from uvicorn.config import STARTUP_FAILURE

# What is still being answered when the web is told to end gets this long; streams of live updates end then too.
GRACE_SECONDS = 3
# A proxy must be the first to give up an idle connection, or it sends a request into one that is being closed. So its
# patience (Traefik's `idleConnTimeout`, 3 s) has to be shorter than both of these.
KEEP_ALIVE_SECONDS = 15
HAND_OVER_SECONDS = 5
# An upload that is still under way after this long is cut off by a retirement.
RETIREMENT_SECONDS = 120

CLOSE = (b"connection", b"close")


class Server(uvicorn.Server):
    """uvicorn's server, and retirement. `ready_fd` is a pipe that is told, by one byte, that requests are taken."""

    def __init__(self, config: uvicorn.Config, ready_fd: int | None = None) -> None:
        super().__init__(config)
        self._ready_fd = ready_fd
        self._retiring: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self._ready_fd is not None:
            os.write(self._ready_fd, b"1")
            os.close(self._ready_fd)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            before = signal.signal(signal.SIGQUIT, self._told_to_retire)
            try:
                yield
            finally:
                signal.signal(signal.SIGQUIT, before)

    async def on_tick(self, counter: int) -> bool:
        ends = await super().on_tick(counter)
        if self._retiring is not None and CLOSE not in self.server_state.default_headers:
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        return ends

    def _told_to_retire(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._retire)

    def _retire(self) -> None:
        if self._retiring is None:
            self._retiring = asyncio.create_task(self._hand_over())

    async def _hand_over(self) -> None:
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        await asyncio.sleep(HAND_OVER_SECONDS)
        self.config.timeout_graceful_shutdown = RETIREMENT_SECONDS
        self.should_exit = True


def serve(host: str, port: int, fd: int | None = None, ready_fd: int | None = None) -> None:
    """Serve the API and the dashboard until a signal. With `fd`, on that listening socket, which others may share."""
    config = uvicorn.Config(
        "helixnet.web.app:create_app",
        factory=True,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, ready_fd)
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
    if not server.started:
        sys.exit(STARTUP_FAILURE)
