"""`table.query` in its isolated process, on files of this machine and without the rest of the platform."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from helixnet.processors import ProcessLimits, Reject
from helixnet.processors.table import QUERY
from helixnet.processors.table.results import QueryParams
from helixnet.worker.isolation.run import Isolation

EXAMPLE = Path(__file__).parents[2] / "examples" / "table-query"


@dataclass(frozen=True)
class FileInput:
    """A stored file, where storage is a folder of this machine."""

    stands_at: Path
    filename: str
    media_type: str = "application/octet-stream"

    @property
    def key(self) -> str:
        return f"local/{self.filename}"

    @property
    def size(self) -> int:
        return self.stands_at.stat().st_size

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.filename.encode()).hexdigest()

    async def read(self, limit: int) -> bytes:
        if self.size > limit:
            raise Reject(f"{self.filename} has {self.size} bytes; at most {limit} can be processed.")
        return self.stands_at.read_bytes()

    async def stream(self) -> AsyncIterator[bytes]:
        yield self.stands_at.read_bytes()

    async def path(self) -> Path:
        return self.stands_at


@dataclass
class FileContext:
    """A JobContext that keeps artifacts in a folder."""

    folder: Path
    inputs: dict[str, FileInput]
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False
    steps: list[tuple[float, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def idempotency_key(self) -> str:
        return str(self.job_id)

    @property
    def scratch(self) -> Path:
        raise AssertionError("the isolated process has one of its own")

    async def progress(self, fraction: float, message: str = "") -> None:
        self.steps.append((fraction, message))

    async def log(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    async def output(self, text: str) -> None:
        raise AssertionError("table.query shows no text")

    async def write(self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "") -> str:
        with (self.folder / name).open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                assert not isinstance(content, Path)
                async for piece in content:
                    file.write(piece)
        return name


@dataclass
class Tables:
    """Runs `table.query` again and again, in one worker's isolation."""

    runner: asyncio.Runner
    isolation: Isolation
    folder: Path
    context: FileContext | None = None

    def ask(
        self,
        content: bytes | str | Path,
        sql: str | bytes | None = None,
        name: str = "table.csv",
        limits: ProcessLimits = QUERY.limits,
        **params: Any,
    ) -> dict[str, Any]:
        """The result for this content (a file, or what it holds) and this SQL."""
        inputs = {"content_key": FileInput(self._file(content), name)}
        if sql is not None:
            inputs["context_key"] = FileInput(self._file(sql), "context.sql")
        self.context = FileContext(self.folder, inputs)
        asked = QueryParams.model_validate(params)
        result = self.runner.run(self.isolation.run(replace(QUERY, limits=limits), self.context, asked))
        assert isinstance(result, dict)
        return result

    def refusal(self, content: bytes | str | Path, sql: str | bytes | None = None, **more: Any) -> Reject:
        """Why this is turned away."""
        try:
            result = self.ask(content, sql, **more)
        except Reject as reject:
            return reject
        raise AssertionError(f"it is answered: {result}")

    def rows(self, content: bytes | str | Path, sql: str, **more: Any) -> list[list[Any]]:
        """The preview's rows."""
        rows: list[list[Any]] = self.ask(content, sql, **more)["preview"]["rows"]
        return rows

    def artifact(self, name: str) -> Path:
        return self.folder / name

    def _file(self, content: bytes | str | Path) -> Path:
        if isinstance(content, Path):
            return content
        path = self.folder / f"stored-{uuid4().hex}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@contextmanager
def tables() -> Iterator[Tables]:
    with tempfile.TemporaryDirectory(prefix="helix-test-") as folder, asyncio.Runner() as runner:
        isolation = Isolation()
        yield Tables(runner, isolation, Path(folder))
        runner.run(isolation.close())
