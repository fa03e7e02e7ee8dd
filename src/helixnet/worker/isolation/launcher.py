"""Starts isolated processes out of a template, and ends them."""

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from helixnet.errors import Unavailable
from helixnet.processors.base import ProcessLimits
from helixnet.worker.files import make_scratch, remove_folder
from helixnet.worker.isolation.origin import Origin

# All that an isolated process gets of its worker's environment.
ENVIRONMENT = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Otherwise every thread reserves 64 MB of address space, which is what a memory limit counts.
FIXED_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
# The import of a processor may take this long.
START_SECONDS = 60.0
# A keeper that has not ended everything by then is ended itself, with the template.
KEEPER_SECONDS = 5.0
# Then it removes the scratch folder; what takes longer is not waited for.
REMOVAL_SECONDS = 0.2
# A process closes its socket a little before the kernel knows how it ended.
ENDING_SECONDS = 0.5
LONGEST_LINE = 16 * 1024
_BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {0} import main; main()"

T = TypeVar("T")

logger = logging.getLogger("helix.worker")


@dataclass(frozen=True, slots=True)
class Child:
    """An isolated process: `data` speaks with it, `control` with its keeper; `lock` holds its scratch folder."""

    control: socket.socket
    data: socket.socket
    scratch: Path
    lock: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended, as its keeper saw it: by itself with the exit code or the negative signal `code`, after it
    `said` so much on its standard error; or killed, being over its `limit`; or, with neither, because it was let go."""

    code: int | None = None
    said: str = ""
    limit: str | None = None


class Launcher:
    """The isolated processes of one worker process. Belongs to one event loop.

    The template is started by `begin` or when it is first needed, and again after it was lost. It always has one
    process at hand that no attempt has been given yet, so that most attempts need not wait for theirs.
    """

    def __init__(self) -> None:
        self._template: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()
        self._ahead: list[Origin] = []
        self._imported = set[Origin]()
        self._spare: Child | None = None
        self._heard = b""

    def begin(self, ahead: list[Origin]) -> None:
        """Start the template, which imports these processors ahead, and don't wait for it."""
        self._ahead = ahead
        self._begin()
        self._order_spare()

    async def prepare(self, origin: Origin) -> None:
        """Have a processor imported ahead, so that its next attempt starts at once."""
        await self._end_spare_without(origin)
        async with self._turn:
            await self._ask(origin, {})

    async def start(self, origin: Origin, limits: ProcessLimits) -> Child:
        """A process that waits to be told what its attempt is. Raises Unavailable when there can be none now."""
        await self._end_spare_without(origin)
        child = await self._take_spare() or await self._fork(origin)
        try:
            await asyncio.get_running_loop().sock_sendall(child.control, orjson.dumps(asdict(limits)) + b"\n")
        except OSError:
            pass  # it is lost, as its end will tell
        except BaseException:
            child.data.close()
            await certainly(self.end(child))
            raise
        self._order_spare()
        return child

    async def _end_spare_without(self, origin: Origin) -> None:
        """A process that was made before the template had imported the processor would do so itself: away with it."""
        if origin not in self._imported:
            await self._end_spare()

    async def _fork(self, origin: Origin) -> Child:
        child, theirs = _new_child()
        try:
            with theirs[0], theirs[1]:
                async with self._turn:
                    await self._ask(origin, {"scratch": str(child.scratch)}, *theirs)
        except BaseException:
            # Whether the process was forked or not: without its sockets it ends.
            child.data.close()
            await certainly(self.end(child))
            raise
        return child

    async def _take_spare(self) -> Child | None:
        spare = self._spare
        if spare is None or select.select((spare.control,), (), (), 0)[0]:  # it has something to say: its end
            await self._end_spare()
            return None
        self._spare = None
        return spare

    def _order_spare(self) -> None:
        """Ask for a process that is at hand next time; how that goes shows when it is taken."""
        if self._spare is not None or self._socket is None:
            return
        # What a spare process lacks, the next attempt's own will lack, and say so.
        with contextlib.suppress(OSError):
            self._spare, theirs = _new_child()
            with theirs[0], theirs[1]:
                self._send({"scratch": str(self._spare.scratch)}, *theirs)

    async def _end_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is None:
            return
        # It has done nothing yet, and ends by itself when its sockets close. There may be none, but for the folder.
        spare.control.close()
        spare.data.close()
        try:
            await certainly(asyncio.to_thread(remove_folder, spare.scratch))
        finally:
            os.close(spare.lock)

    async def end(self, child: Child, *, is_ending: bool = False) -> Ending:
        """Kill the process with all its descendants, unless it has ended; on return none of them is left.

        One that `is_ending`, since it has hung up, gets a moment to do so by itself. Answers how it had ended.
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
            await self._drop()
            await asyncio.to_thread(remove_folder, child.scratch)
        os.close(child.lock)
        if not line:
            return Ending()
        told = orjson.loads(line)
        return Ending(told.get("exit"), told.get("said", ""), told.get("limit"))

    async def close(self) -> None:
        """End the template, and with it every isolated process."""
        await self._end_spare()
        await self._drop()

    async def _drop(self) -> None:
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

    async def _ask(self, origin: Origin, asked: dict[str, Any], *descriptors: socket.socket) -> None:
        """Have the template import a processor, and do what else is asked; it is started if there is none."""
        try:
            async with asyncio.timeout(START_SECONDS):
                if self._socket is None or (self._template is not None and self._template.poll() is not None):
                    await self._drop()
                    self._begin()
                self._send(asked | {"origin": origin.as_json()}, *descriptors)
                answer = await self._answer()
        except (OSError, TimeoutError) as error:
            await certainly(self._drop())
            raise Unavailable("An isolated process could not be started.", reason=str(error)) from error
        except asyncio.CancelledError:
            await certainly(self._drop())  # its answer would be taken for that to the next request
            raise
        if "error" in answer:
            raise Unavailable("An isolated process could not be started.", reason=answer["error"])
        self._imported.add(origin)

    def _send(self, asked: dict[str, Any], *descriptors: socket.socket) -> None:
        """Ask the template for something; what names an origin is answered."""
        assert self._socket is not None  # noqa: S101 - it has begun
        socket.send_fds(self._socket, [orjson.dumps(asked) + b"\n"], [each.fileno() for each in descriptors])

    async def _answer(self) -> Any:
        assert self._socket is not None  # noqa: S101 - it has begun
        while b"\n" not in self._heard:
            part = await asyncio.get_running_loop().sock_recv(self._socket, LONGEST_LINE)
            if not part:
                raise OSError("the template ended")
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        return orjson.loads(line)

    def _begin(self) -> None:
        ours, its = socket.socketpair()
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        begin = _BEGIN.format(f"{__package__}.template")
        ahead = json.dumps([origin.as_json() for origin in self._ahead])
        with its:
            self._template = subprocess.Popen(  # noqa: S603 - our own program, and it takes milliseconds
                [sys.executable, "-I", "-c", begin, json.dumps(sys.path), ahead],
                env=environment | FIXED_ENVIRONMENT,
                cwd="/",
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._socket, self._heard = ours, b""
        self._imported = set(self._ahead)


def _new_child() -> tuple[Child, tuple[socket.socket, socket.socket]]:
    """The worker's side of a process, and the other ends: the keeper's and the process's own."""
    with contextlib.ExitStack() as made:
        scratch, lock = make_scratch()
        made.callback(os.close, lock)
        made.callback(remove_folder, scratch)
        control, keepers = map(made.enter_context, socket.socketpair())
        data, its = map(made.enter_context, socket.socketpair())
        made.pop_all()
    for end in (control, data):
        end.setblocking(False)
    return Child(control, data, scratch, lock), (keepers, its)


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
