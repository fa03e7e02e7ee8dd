"""What a processor sees of the platform when there is none: events are shown, artifacts are files of a folder."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import uuid_utils.compat as uuids

from helixnet.local.spending import ForgetfulAnswers, LocalMeter
from helixnet.processors.base import UNKNOWN_MEDIA_TYPE
from helixnet.processors.context import Input
from helixnet.processors.metering import Spending
from helixnet.worker.files import Scratch, content_of
from helixnet.worker.words import LONGEST_LINE, check_name, storable


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is: a fraction between 0 and 1, and words."""

    fraction: float
    message: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the job's log, with its fields in words."""

    message: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Text:
    """A further piece of the text that comes into being."""

    text: str


Event = Progress | Line | Text
Show = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that the processor wrote beside its result; `size` in bytes, `sha256` in hex."""

    name: str
    path: Path
    size: int
    media_type: str
    sha256: str


@dataclass
class LocalContext:
    """The `MeteredContext` of a run on this machine: the first attempt at a job of its own.

    `show` is called with each event, in the thread of the event loop. Artifacts are written to `folder`.
    """

    inputs: Mapping[str, Input]
    folder: Path
    show: Show
    job_id: UUID = field(default_factory=uuids.uuid7)
    attempt: int = 1
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    answers: ForgetfulAnswers = field(default_factory=ForgetfulAnswers)
    _scratch: Scratch = field(default_factory=Scratch)

    @property
    def meter(self) -> LocalMeter:
        """Shows what each call took as a line of the log."""
        return LocalMeter(self._tell_spending)

    def _tell_spending(self, spent: Spending) -> None:
        fields = {"model": spent.model, "tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out}
        told = fields | {"cost": spent.cost, "seconds": round(spent.seconds, 1)}
        self.show(Line("spent", {name: str(value) for name, value in told.items()}))

    @property
    def idempotency_key(self) -> str:
        return str(self.job_id)

    @property
    def scratch(self) -> Path:
        return self._scratch.folder

    @property
    def cancelled(self) -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def progress(self, fraction: float, message: str = "") -> None:
        self.show(Progress(min(max(fraction, 0.0), 1.0), storable(message)))

    async def log(self, message: str, **fields: object) -> None:
        self.show(Line(storable(message), {name: storable(str(value)) for name, value in fields.items()}))

    async def output(self, text: str) -> None:
        for start in range(0, len(text), LONGEST_LINE):
            self.show(Text(storable(text[start : start + LONGEST_LINE])))

    async def write(
        self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = UNKNOWN_MEDIA_TYPE
    ) -> str:
        check_name(name, self.artifacts)
        target = self.folder / name
        pieces = _once(content) if isinstance(content, bytes) else content
        digest, size = hashlib.sha256(), 0
        with target.open("wb") as file:
            async for piece in content_of(pieces) if isinstance(pieces, Path) else pieces:
                digest.update(piece)
                size += await asyncio.to_thread(file.write, piece)
        self.artifacts[name] = Artifact(name, target, size, media_type, digest.hexdigest())
        return f"local/attempt-{self.attempt}/{name}"

    async def close(self) -> None:
        """Leave nothing in the scratch folder's place."""
        await self._scratch.remove()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
