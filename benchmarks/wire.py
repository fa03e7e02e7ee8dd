"""An HTTP/1.1 client of few words: requests made beforehand, answers read by their length.

The load must cost little beside what it loads: on two cores a full client would take half of the machine.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import orjson
import uvloop

HOST = "127.0.0.1"

T = TypeVar("T")


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on the loop that servers use too."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def request(method: str, path: str, body: bytes = b"", /, **headers: str) -> bytes:
    """A request as it goes over the wire; an underscore in a header's name stands for a hyphen."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


class Refused(Exception):
    """An answer that is not the expected one."""


class Connection:
    """A kept connection to a server of this machine; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, message: bytes, expected: int = 200) -> bytes:
        """Send a request; answers the body. Raises Refused for another status than the expected one."""
        self._writer.write(message)
        await self._writer.drain()
        return await self.answer(expected)

    async def answer(self, expected: int = 200) -> bytes:
        """Read an answer's body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        start = lower.index(b"content-length:") + len(b"content-length:")
        body = await self._reader.readexactly(int(lower[start : lower.index(b"\r\n", start)]))
        if int(head[9:12]) != expected:
            raise Refused(f"{head[:15].decode()}: {body[:500].decode(errors='replace')}")
        return body

    async def send(self, chunk: bytes) -> None:
        """Send a piece of a request, as fast as the other side takes it."""
        self._writer.write(chunk)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def load(port: int, message: bytes, *, connections: int, seconds: float, expected: int = 201) -> list[float]:
    """Send one request over and over on each connection for so long; answers every latency in seconds."""
    end = time.perf_counter() + seconds
    latencies: list[float] = []

    async def one() -> None:
        connection = await Connection.open(port)
        while (start := time.perf_counter()) < end:
            await connection.ask(message, expected)
            latencies.append(time.perf_counter() - start)
        await connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return latencies


async def sign_in(port: int) -> str:
    """An access token of the development account."""
    form = b"username=demo@helix.net&password=demo"
    connection = await Connection.open(port)
    body = await connection.ask(
        request("POST", "/api/v1/auth/token", form, Content_Type="application/x-www-form-urlencoded")
    )
    await connection.close()
    token: str = orjson.loads(body)["access_token"]
    return token
