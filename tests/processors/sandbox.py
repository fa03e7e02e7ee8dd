"""Processors in processes of their own, as a worker runs them, on files at hand and without the platform."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from helixnet.processors import Processor, Reject
from helixnet.worker.isolation.run import Isolation


@dataclass
class MadeInput:
    """An input that comes into being while it is read, so that it may be larger than memory."""

    pieces: Callable[[], Iterable[bytes]]
    filename: str
    media_type: str = "application/octet-stream"
    key: str = "local/file"

    @cached_property
    def size(self) -> int:
        return sum(map(len, self.pieces()))

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    async def read(self, limit: int) -> bytes:
        if self.size > limit:
            raise Reject(f"{self.filename} is too large.")
        return b"".join(self.pieces())

    async def stream(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece

    async def path(self) -> Path:
        raise AssertionError("the isolated process makes a copy of its own")


def made(content: bytes, filename: str, media_type: str = "application/octet-stream") -> MadeInput:
    """An input of these bytes."""
    return MadeInput(lambda: [content], filename, media_type)


@dataclass
class SandboxContext:
    """What the worker's side of an isolated process asks of its context; it keeps what was written."""

    inputs: Mapping[str, MadeInput]
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False
    artifacts: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    steps: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def progress(self, fraction: float, message: str = "") -> None:
        assert message
        self.steps.append(fraction)

    async def log(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    async def output(self, text: str) -> None:
        raise AssertionError("nothing is shown while it comes into being")

    async def write(self, name: str, content: bytes | AsyncIterator[bytes], media_type: str = "") -> str:
        whole = content if isinstance(content, bytes) else b"".join([piece async for piece in content])
        self.artifacts[name] = (whole, media_type)
        return name


class Sandbox:
    """One template for many jobs, one after the other."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._isolation = self._runner.run(self._made())

    @staticmethod
    async def _made() -> Isolation:
        return Isolation()

    def run(self, processor: Processor, context: SandboxContext, **params: Any) -> Any:
        """The result of a job; raises what became of it otherwise."""
        given = processor.params.model_validate(params)
        return self._runner.run(self._isolation.run(processor, context, given))  # type: ignore[arg-type]

    def close(self) -> None:
        self._runner.run(self._isolation.close())
        self._runner.close()
