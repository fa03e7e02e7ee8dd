"""Processors in processes of their own, as a worker runs them: on files at hand, and without the platform."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from helixnet.processors import Input, Processor
from helixnet.worker.failure import failed
from helixnet.worker.isolation.run import Isolation

PIECE_BYTES = 256 * 1024


@dataclass
class HandedInput:
    """An input that is read in pieces, as from an object store; it may be larger than memory."""

    pieces: Callable[[], Iterable[bytes]]
    filename: str
    media_type: str = "application/octet-stream"
    key: str = "local/file"
    sha256: str = "0" * 64

    @cached_property
    def size(self) -> int:
        return sum(map(len, self.pieces()))

    async def read(self, limit: int) -> bytes:
        raise AssertionError("the isolated process reads in pieces")

    async def stream(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece

    async def path(self) -> Path:
        raise AssertionError("the isolated process makes a copy of its own")


class FileInput(HandedInput):
    """An input that is a file of this machine."""

    def __init__(self, file: Path, filename: str) -> None:
        super().__init__(self._read, filename)
        self._file = file

    @cached_property
    def size(self) -> int:
        return self._file.stat().st_size

    def _read(self) -> Iterator[bytes]:
        with self._file.open("rb") as opened:
            while piece := opened.read(PIECE_BYTES):
                yield piece


def handed(content: bytes | Path, filename: str, media_type: str = "application/octet-stream") -> HandedInput:
    """An input of these bytes, or of what this file holds."""
    if isinstance(content, Path):
        return FileInput(content, filename)
    return HandedInput(lambda: [content], filename, media_type)


class Written(NamedTuple):
    """An artifact as the worker got it."""

    content: bytes
    media_type: str


@dataclass
class SandboxContext:
    """The worker's side of an attempt: it keeps what it is told."""

    inputs: Mapping[str, Input]
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False
    written: dict[str, Written] = field(default_factory=dict)
    steps: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def idempotency_key(self) -> str:
        return str(self.job_id)

    @property
    def scratch(self) -> Path:
        raise AssertionError("the isolated process has one of its own")

    async def progress(self, fraction: float, message: str = "") -> None:
        assert message
        self.steps.append(fraction)

    async def log(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    async def output(self, text: str) -> None:
        raise AssertionError("nothing is shown while it comes into being")

    async def write(self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "") -> str:
        assert not isinstance(content, Path), "a file comes out of the isolated process in pieces"
        whole = content if isinstance(content, bytes) else b"".join([piece async for piece in content])
        self.written[name] = Written(whole, media_type)
        return name


@dataclass
class Ended:
    """How an attempt ended: its result, or the error that its job would show; and what was written."""

    result: Any
    error: dict[str, Any]
    context: SandboxContext


class Sandbox:
    """The isolation of one worker, for many attempts one after the other."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._isolation = self._runner.run(self._made())

    @staticmethod
    async def _made() -> Isolation:
        return Isolation()

    def run(self, processor: Processor, context: SandboxContext, **params: Any) -> Any:
        """The result of an attempt; raises what became of it otherwise."""
        given = processor.params.model_validate(params)
        return self._runner.run(self._isolation.run(processor, context, given))

    def end(self, processor: Processor, files: Mapping[str, tuple[str, bytes | Path]], **params: Any) -> Ended:
        """The end of an attempt on these files: by role a name, and the content or where it is."""
        context = SandboxContext({role: handed(content, name) for role, (name, content) in files.items()})
        try:
            return Ended(self.run(processor, context, **params), {}, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is how the attempt ended
            return Ended(None, failed(error, processor.name).error, context)

    def close(self) -> None:
        self._runner.run(self._isolation.close())
        self._runner.close()
