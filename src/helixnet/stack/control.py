"""How other commands ask the stack that runs for something: a line over a socket that is the user's alone."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from helixnet.errors import CannotStart
from helixnet.stack.home import Home

Action = Callable[[], Awaitable[str]]


class NotRunning(CannotStart):
    """No stack runs on this home."""


class Refused(CannotStart):
    """The stack could not do what it was asked for; the message says why."""


@contextlib.asynccontextmanager
async def listening(home: Home, actions: Mapping[str, Action]) -> AsyncIterator[None]:
    """Take requests, each the name of an action, one at a time; an action answers a line, or raises CannotStart."""
    turn = asyncio.Lock()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            action = actions.get((await reader.readline()).decode().strip())
            async with turn:
                writer.write((await _outcome(action)).encode() + b"\n")
            await writer.drain()
        writer.close()

    path = _socket(home)
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(answer, path)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _outcome(action: Action | None) -> str:
    if action is None:
        return "no: it knows nothing of that"
    try:
        return f"yes: {await action()}"
    except CannotStart as error:
        return f"no: {' '.join(str(error).split())}"


def ask(home: Home, action: str) -> str:
    """Have the stack that runs on a home do something, and wait until it is done. Raises NotRunning, Refused."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(_socket(home)))
            connection.sendall(f"{action}\n".encode())
            answer = connection.makefile().readline().strip()
        except OSError as error:
            raise NotRunning(f"no HelixNet runs on {home.path}") from error
    verdict, _, words = answer.partition(": ")
    if verdict != "yes":
        raise Refused(words or "the stack ended meanwhile")
    return words


def _socket(home: Home) -> Path:
    return home.socket_folder("control") / "control.sock"
