"""The platform for a plain function: each call waits for the event loop, which runs in another thread."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from helixnet.processors.context import BlockingInput, Input, JobContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Input:
    """A `BlockingInput`."""

    asynchronous: Input
    loop: asyncio.AbstractEventLoop

    @property
    def key(self) -> str:
        return self.asynchronous.key

    @property
    def filename(self) -> str:
        return self.asynchronous.filename

    @property
    def size(self) -> int:
        return self.asynchronous.size

    @property
    def media_type(self) -> str:
        return self.asynchronous.media_type

    @property
    def sha256(self) -> str:
        return self.asynchronous.sha256

    def read(self, limit: int) -> bytes:
        return _wait(self.loop, self.asynchronous.read(limit))

    def stream(self) -> Iterator[bytes]:
        pieces = self.asynchronous.stream()
        while (piece := _wait(self.loop, _next(pieces))) is not None:
            yield piece

    def path(self) -> Path:
        return _wait(self.loop, self.asynchronous.path())


class Blocking:
    """The `BlockingContext` over a context whose event loop runs in another thread.

    It hears of being told to stop by `stop`; where the process is killed instead, nobody calls that.
    """

    def __init__(self, context: JobContext, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self.job_id = context.job_id
        self.attempt = context.attempt
        self.idempotency_key = context.idempotency_key
        self.cancelled = False
        self.inputs: Mapping[str, BlockingInput] = {role: _Input(one, loop) for role, one in context.inputs.items()}

    @property
    def scratch(self) -> Path:
        return self._context.scratch

    def stop(self) -> None:
        """Tell the function that its attempt is to end."""
        self.cancelled = True

    def progress(self, fraction: float, message: str = "") -> None:
        _wait(self._loop, self._context.progress(fraction, message))

    def log(self, message: str, **fields: object) -> None:
        _wait(self._loop, self._context.log(message, **fields))

    def output(self, text: str) -> None:
        _wait(self._loop, self._context.output(text))

    def write(
        self, name: str, content: bytes | Path | Iterable[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        source = content if isinstance(content, bytes | Path) else _from_thread(content)
        return _wait(self._loop, self._context.write(name, source, media_type))


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def _from_thread(content: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The pieces of an iterable that may hold up its thread."""
    pieces = iter(content)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _wait(loop: asyncio.AbstractEventLoop, call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(call, loop).result()
