"""A worker's isolation on its own: real processes, under the processor's own limits, on files at hand."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from helixnet.processors import Input, Processor
from helixnet.worker.failure import failed
from helixnet.worker.files import content_of
from helixnet.worker.isolation.run import Isolation

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class FileInput:
    """An input that is a file of this machine, handed over in pieces as from an object store."""

    file: Path
    filename: str
    media_type: str = "application/octet-stream"

    @property
    def key(self) -> str:
        return f"local/{self.filename}"

    @property
    def size(self) -> int:
        return self.file.stat().st_size

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.filename.encode()).hexdigest()

    async def read(self, limit: int) -> bytes:
        raise AssertionError("the isolated process reads in pieces")

    async def stream(self) -> AsyncIterator[bytes]:
        with self.file.open("rb") as opened:
            while piece := opened.read(PIECE_BYTES):
                yield piece

    async def path(self) -> Path:
        return self.file


@dataclass
class WorkersContext:
    """The worker's side of an attempt: it keeps what it is told."""

    inputs: Mapping[str, Input]
    scratch: Path
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False
    lines: list[str] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    written: dict[str, bytes] = field(default_factory=dict)

    @property
    def idempotency_key(self) -> str:
        return str(self.job_id)

    async def progress(self, fraction: float, message: str = "") -> None:
        self.steps.append(fraction)

    async def log(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    async def output(self, text: str) -> None:
        raise AssertionError("nothing is shown in pieces")

    async def write(
        self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        if isinstance(content, Path):
            content = content_of(content)
        self.written[name] = content if isinstance(content, bytes) else b"".join([piece async for piece in content])
        return name


@dataclass
class Ended:
    """How an attempt ended: its result, or the error that its job would show."""

    result: Any
    error: dict[str, Any]
    context: WorkersContext


class Workplace:
    """Runs attempts one after the other in the isolation of one worker."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner = runner
        self._folder = folder
        self._isolation = Isolation()

    def run(self, processor: Processor, files: Mapping[str, tuple[str, bytes | Path]], **params: Any) -> Ended:
        """An attempt on these files: by role a name, and the content or where it is."""
        folder = self._folder / uuid4().hex
        folder.mkdir()
        inputs: dict[str, Input] = {}
        for role, (name, content) in files.items():
            place = content if isinstance(content, Path) else folder / role
            if isinstance(content, bytes):
                place.write_bytes(content)
            inputs[role] = FileInput(place, name)
        context = WorkersContext(inputs, folder)
        try:
            parsed = processor.params.model_validate(params)
            result = self._runner.run(self._isolation.run(processor, context, parsed))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is how the attempt ended
            return Ended(None, failed(error, processor.name).error, context)
        return Ended(result, {}, context)

    def close(self) -> None:
        self._runner.run(self._isolation.close())


@contextmanager
def workplace(folder: Path) -> Iterator[Workplace]:
    with asyncio.Runner() as runner:
        place = Workplace(runner, folder)
        yield place
        place.close()
