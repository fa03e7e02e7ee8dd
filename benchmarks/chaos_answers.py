"""What must come out of each job: worked out beforehand, or from what is known of its processor, never from the run."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel

from helixnet.processors import Input
from helixnet.processors.text.analyze import analyze
from helixnet.processors.text.results import AnalyzeParams

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
COMPLETED = frozenset({"COMPLETED"})


@dataclass(frozen=True, slots=True)
class Right:
    """How a job has to end: in one of `states`, and when COMPLETED with this answer.

    `stored` is the SHA-256 of the answer's bytes as an object, `value` that of the value, however it is written.
    """

    states: frozenset[str]
    stored: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """Two files to upload, and the right analysis of them."""

    content: bytes
    context: bytes
    right: Right


def right_json(answer: Any, states: frozenset[str] = COMPLETED) -> Right:
    """The right end of a job whose answer is this JSON value."""
    return right_bytes(json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode(), states)


def right_bytes(answer: bytes, states: frozenset[str] = COMPLETED) -> Right:
    """The right end of a job whose answer is this JSON text."""
    return Right(states, hashlib.sha256(answer).hexdigest(), value_sha256(json.loads(answer)))


def value_sha256(value: Any) -> str:
    """The SHA-256 of a JSON value, independent of spaces and of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def documents(number: int, rng: random.Random) -> list[Document]:
    """Texts of several sizes, cut from the example, each analysed here by the processor itself."""
    paragraphs = (EXAMPLES / "content_file.txt").read_text().split("\n\n")
    questions = (EXAMPLES / "context_file.txt").read_text().splitlines()
    made = []
    for _ in range(number):
        chosen = [rng.choice(paragraphs) for _ in range(rng.choice((3, 10, 40, 300)))]
        content = "\n\n".join(chosen).encode()
        context = "\n".join(rng.sample(questions, min(3, len(questions)))).encode()
        made.append(Document(content, context, right_bytes(_analysed(content, context))))
    return made


def _analysed(content: bytes, context: bytes) -> bytes:
    local = _Context({"content_key": _File(content), "context_key": _File(context)})
    result = asyncio.run(analyze(local, AnalyzeParams()))
    assert isinstance(result, BaseModel)
    return json.dumps(result.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class _File:
    """An input whose bytes are at hand."""

    content: bytes
    filename: str = "file.txt"
    key: str = "file.txt"

    @property
    def size(self) -> int:
        return len(self.content)

    async def read(self, limit: int) -> bytes:
        return self.content[: limit + 1]

    async def stream(self) -> AsyncIterator[bytes]:
        yield self.content


@dataclass
class _Context:
    """A JobContext without the platform."""

    inputs: Mapping[str, Input]
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False

    async def progress(self, fraction: float, message: str = "") -> None:
        """Nobody watches."""

    async def log(self, message: str, **fields: object) -> None:
        """Nobody reads."""

    async def write(
        self, name: str, _content: bytes | AsyncIterator[bytes], _media_type: str = "application/octet-stream"
    ) -> str:
        raise AssertionError(f"text.analyze writes no artifacts, but did {name}")
