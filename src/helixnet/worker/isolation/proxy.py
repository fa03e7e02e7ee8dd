"""The platform as an isolated process sees it: every call is a request to the worker, and waits for its answer."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson

from helixnet.errors import HelixError
from helixnet.processors.base import Reject
from helixnet.processors.context import Input
from helixnet.worker.files import content_of, copied
from helixnet.worker.isolation import frames
from helixnet.worker.isolation.errors import refusal
from helixnet.worker.isolation.frames import PIECE_BYTES, Header

LONGEST_LINE, LONGEST_NAME = 4000, 1000
LONGEST_FIELDS = 32 * 1024


class PlatformFailed(Exception):
    """The worker could not do what it was asked for; it knows why."""

    def __init__(self, request: int, message: str) -> None:
        super().__init__(message)
        self.request = request


class Platform:
    """Requests and their answers. Belongs to one event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[tuple[Header, bytes]]] = {}
        self._listening = asyncio.create_task(self._listen(reader))

    async def ask(self, header: Header, body: bytes = b"") -> tuple[Header, bytes]:
        """A request's answer; raises what the worker says is wrong with it."""
        if self._listening.done():
            raise ConnectionError("the worker is gone")
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await frames.send(self._writer, header | {"id": number}, body)
            answered, content = await answer
        finally:
            del self._asked[number]
        if (problem := answered.get("refused")) is None:
            return answered, content
        match problem:
            case {"kind": "reject", "message": str(message)}:
                raise Reject(message)
            case {"kind": "value", "message": str(message)}:
                raise ValueError(message)
            case {"kind": "platform", "message": str(message)}:
                raise PlatformFailed(number, message)
            case {"kind": str(code), "message": str(message)}:
                raise refusal(code, message, {})
            case _:
                raise HelixError("the worker refused")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (answer := await frames.receive(reader, PIECE_BYTES)) is not None:
            asked = self._asked.get(answer[0]["id"])
            if asked is not None and not asked.done():
                asked.set_result(answer)
        for asked in self._asked.values():
            asked.set_exception(ConnectionError("the worker is gone"))


@dataclass(frozen=True, slots=True)
class RemoteInput:
    """An input, which the worker reads from storage and hands over piece by piece."""

    role: str
    key: str
    filename: str
    size: int
    media_type: str
    sha256: str
    stands_at: Path | None
    platform: Platform
    scratch: Path

    async def read(self, limit: int) -> bytes:
        content = bytearray()
        if self.size <= limit:
            async for piece in self.stream():
                content += piece
                if len(content) > limit:
                    break
        if max(self.size, len(content)) > limit:
            raise Reject(f"{self.filename} has {self.size} bytes; at most {limit} can be processed.")
        return bytes(content)

    async def stream(self) -> AsyncIterator[bytes]:
        opened, _ = await self.platform.ask({"do": "open", "role": self.role})
        number = opened["stream"]
        try:
            while (answer := await self.platform.ask({"do": "next", "stream": number}))[1]:
                yield answer[1]
        finally:
            await self.platform.ask({"do": "close", "stream": number})

    async def path(self) -> Path:
        return self.stands_at or await copied(self, self.scratch)


class RemoteContext:
    """The `JobContext` of an isolated process, which is never told to stop: it is killed."""

    def __init__(self, platform: Platform, started: Header, scratch: Path) -> None:
        self._platform = platform
        self.job_id = UUID(started["job_id"])
        self.attempt: int = started["attempt"]
        self.scratch = scratch
        self.inputs: Mapping[str, Input] = {
            role: RemoteInput(
                role,
                about["key"],
                about["filename"],
                about["size"],
                about["media_type"],
                about["sha256"],
                None if about["stands_at"] is None else Path(about["stands_at"]),
                platform,
                scratch,
            )
            for role, about in started["inputs"].items()
        }

    @property
    def idempotency_key(self) -> str:
        return str(self.job_id)

    @property
    def cancelled(self) -> bool:
        return False

    async def progress(self, fraction: float, message: str = "") -> None:
        await self._platform.ask({"do": "progress", "fraction": float(fraction), "message": _text(message)})

    async def log(self, message: str, **fields: object) -> None:
        told = {_text(key): _text(str(value)) for key, value in fields.items()}
        if len(orjson.dumps(told)) > LONGEST_FIELDS:
            raise ValueError(f"the fields of a log line may have {LONGEST_FIELDS} bytes in all")
        await self._platform.ask({"do": "log", "message": _text(message), "fields": told})

    async def output(self, text: str) -> None:
        for start in range(0, len(text), LONGEST_LINE):
            await self._platform.ask({"do": "output", "text": _text(text[start : start + LONGEST_LINE])})

    async def write(
        self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        if len(name) > LONGEST_NAME or len(media_type) > LONGEST_NAME:
            raise ValueError(f"names have at most {LONGEST_NAME} characters")
        about: Header = {"name": name, "media_type": media_type}
        if isinstance(content, bytes) and len(content) <= PIECE_BYTES:
            answer, _ = await self._platform.ask({"do": "write"} | about, content)
            return str(answer["key"])
        opened, _ = await self._platform.ask({"do": "create"} | about)
        number = opened["stream"]
        try:
            async for piece in _pieces(content_of(content) if isinstance(content, Path) else content):
                await self._platform.ask({"do": "put", "stream": number}, piece)
        except BaseException:
            await self._platform.ask({"do": "abandon", "stream": number})
            raise
        answer, _ = await self._platform.ask({"do": "finish", "stream": number})
        return str(answer["key"])


async def _pieces(content: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content in pieces that fit in a message; none is empty."""
    if isinstance(content, bytes):
        for start in range(0, len(content), PIECE_BYTES):
            yield content[start : start + PIECE_BYTES]
        return
    async for piece in content:
        for start in range(0, len(piece), PIECE_BYTES):
            yield piece[start : start + PIECE_BYTES]


def _text(text: str) -> str:
    return text[:LONGEST_LINE].encode(errors="replace").decode()
