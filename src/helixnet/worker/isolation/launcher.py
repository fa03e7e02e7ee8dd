"""Starts isolated processes out of a template, and ends them."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import orjson

from helixnet.errors import Unavailable
from helixnet.processors.base import ProcessLimits
from helixnet.worker.files import SCRATCH_PREFIX
from helixnet.worker.isolation import keeper
from helixnet.worker.isolation.origin import Origin

# All that an isolated process gets of its worker's environment.
ENVIRONMENT = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Otherwise every thread reserves 64 MB of address space, which is what a memory limit counts.
FIXED_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
# The import of a processor may take this long.
START_SECONDS = 60.0
# A keeper that has not ended everything by then is ended itself, with the template.
KEEPER_SECONDS = 1.0
# Then it removes the scratch folder; what takes longer is not waited for.
REMOVAL_SECONDS = 0.2
# A process closes its socket a little before the kernel knows how it ended.
ENDING_SECONDS = 0.5
LONGEST_LINE = 4096
_BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {0} import main; main()"

T = TypeVar("T")

logger = logging.getLogger("helix.worker")


@dataclass(frozen=True, slots=True)
class Child:
    """An isolated process: `data` speaks with it, `control` with its keeper."""

    control: socket.socket
    data: socket.socket
    scratch: str


class Launcher:
    """The isolated processes of one worker process. Belongs to one event loop.

    The template is started when it is first needed, and again after it was lost.
    """

    def __init__(self) -> None:
        self._template: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()

    async def prepare(self, origin: Origin) -> None:
        """Have a processor imported ahead, so that its next attempt starts at once."""
        async with self._turn:
            await self._ask({"origin": origin.as_json()})

    async def start(self, origin: Origin, limits: ProcessLimits) -> Child:
        """A process that waits to be told what its attempt is. Raises Unavailable when there can be none now."""
        control, keepers_control = socket.socketpair()
        data, childs_data = socket.socketpair()
        child = Child(control, data, tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
        for end in (control, data):
            end.setblocking(False)
        asked = {"origin": origin.as_json(), "limits": asdict(limits), "scratch": child.scratch}
        try:
            with keepers_control, childs_data:
                async with self._turn:
                    await self._ask(asked, keepers_control.fileno(), childs_data.fileno())
        except BaseException:
            # Whether the process was forked or not: without its sockets it ends.
            data.close()
            await certainly(self.end(child))
            raise
        return child

    async def end(self, child: Child, *, is_ending: bool = False) -> int | None:
        """Kill the process with all its descendants, unless it has ended; on return none of them is left.

        One that `is_ending`, since it has hung up, gets a moment to do so by itself. Answers how it had ended by
        itself: its exit code, or the negative number of the signal that killed it.
        """
        line = await _report(child.control, ENDING_SECONDS) if is_ending else None
        if line is None:
            with contextlib.suppress(OSError):
                child.control.shutdown(socket.SHUT_WR)
            line = await _report(child.control, KEEPER_SECONDS)
        if line:
            await _report(child.control, REMOVAL_SECONDS)  # its end
        child.control.close()
        if not line:
            logger.error("the keeper of an isolated process is lost: all isolated processes are ended")
            await self.close()
            await asyncio.to_thread(keeper.remove, child.scratch)
            return None
        code: int | None = orjson.loads(line).get("exit")
        return code

    async def close(self) -> None:
        """End the template, and with it every isolated process."""
        template, connection = self._template, self._socket
        self._template = self._socket = None
        if connection is not None:
            connection.close()
        if template is not None:
            try:
                await asyncio.to_thread(template.wait, KEEPER_SECONDS)
            except subprocess.TimeoutExpired:
                logger.error("isolated processes could not be ended", extra={"pid": template.pid})  # noqa: TRY400
                template.kill()
                await asyncio.to_thread(template.wait)

    async def _ask(self, asked: dict[str, Any], *descriptors: int) -> None:
        """Have the template do something; it is started if there is none."""
        try:
            async with asyncio.timeout(START_SECONDS):
                if self._socket is None or (self._template is not None and self._template.poll() is not None):
                    await self._begin()
                assert self._socket is not None  # noqa: S101 - it has just begun
                socket.send_fds(self._socket, [orjson.dumps(asked)], descriptors)
                answer = orjson.loads(await _line(self._socket) or b'{"error": "it ended"}')
        except (OSError, TimeoutError) as error:
            await certainly(self.close())
            raise Unavailable("An isolated process could not be started.", reason=str(error)) from error
        except asyncio.CancelledError:
            await certainly(self.close())  # its answer would be taken for that to the next request
            raise
        if "error" in answer:
            raise Unavailable("An isolated process could not be started.", reason=answer["error"])

    async def _begin(self) -> None:
        await self.close()
        ours, its = socket.socketpair()
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        begin = _BEGIN.format(f"{__package__}.template")
        with its:
            self._template = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program, and it takes milliseconds
                [sys.executable, "-I", "-c", begin, json.dumps(sys.path)],
                env=environment | FIXED_ENVIRONMENT,
                cwd="/",
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._socket = ours
        if not await _line(ours):
            raise OSError("the template ended before it began")


async def certainly(call: Coroutine[Any, Any, T]) -> T:
    """The call's result, also when the caller is cancelled meanwhile: it is told so afterwards."""
    task = asyncio.ensure_future(call)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


async def _report(control: socket.socket, seconds: float) -> bytes | None:
    """What a keeper says; empty when it is lost, None when it says nothing for so long."""
    try:
        async with asyncio.timeout(seconds):
            return await _line(control)
    except TimeoutError:
        return None


async def _line(connection: socket.socket) -> bytes:
    """A line; empty when the other side is gone."""
    loop = asyncio.get_running_loop()
    line = b""
    while not line.endswith(b"\n"):
        with contextlib.suppress(ConnectionError):
            if part := await loop.sock_recv(connection, LONGEST_LINE):
                line += part
                continue
        return b""
    return line
