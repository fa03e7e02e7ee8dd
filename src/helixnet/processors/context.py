"""What a running processor may ask of the platform, as a coroutine function and as a plain one meet it."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol
from uuid import UUID


class StoredFile(Protocol):
    """A stored file that a job reads, as its row describes it."""

    @property
    def key(self) -> str:
        """The object's storage key."""

    @property
    def filename(self) -> str:
        """The name that the user gave the file."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    @property
    def media_type(self) -> str:
        """What the user's side said that it is: a hint, not a proof."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, in hex, taken when it was stored."""


class Input(StoredFile, Protocol):
    """A stored file, opened for reading."""

    async def read(self, limit: int) -> bytes:
        """The whole content; raises Reject when it is larger than `limit` bytes."""

    def stream(self) -> AsyncIterator[bytes]:
        """The content in pieces, in order, in constant memory."""

    async def path(self) -> Path:
        """The content as a file, for libraries that read nothing else: never to be written to.

        Where objects are in a folder of this machine it is the object itself, else a copy in the scratch folder. Its
        name says nothing about what it holds.
        """


class Running(Protocol):
    """Which attempt at which job runs, and where it may keep files for a while."""

    @property
    def job_id(self) -> UUID:
        """The job's id."""

    @property
    def attempt(self) -> int:
        """The attempt, counted from 1."""

    @property
    def idempotency_key(self) -> str:
        """For calls to the outside that must count once: the same in every attempt at this job, and in no other."""

    @property
    def scratch(self) -> Path:
        """An empty folder of this attempt's own, removed with all that is in it when the attempt ends."""

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was told to stop; long loops look at it and return early."""


class JobContext(Running, Protocol):
    """What a running processor may ask of the platform."""

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The job's stored inputs by role."""

    async def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the work is: a fraction between 0 and 1, and words for the user."""

    async def log(self, message: str, **fields: object) -> None:
        """Add a line to the job's log, seen on its page."""

    async def output(self, text: str) -> None:
        """Show a further piece of text on the job's page while the result comes into being, as it is without a line
        end of its own. It is shown, not kept as a result: what counts is returned or written."""

    async def write(
        self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        """Store an artifact beside the result, and answer its storage key; a Path is a file whose content it is."""


class BlockingInput(StoredFile, Protocol):
    """A stored file, as a plain function reads it."""

    def read(self, limit: int) -> bytes:
        """The whole content; raises Reject when it is larger than `limit` bytes."""

    def stream(self) -> Iterator[bytes]:
        """The content in pieces, in order, in constant memory."""

    def path(self) -> Path:
        """The content as a file that is never to be written to, as of `Input`."""


class BlockingContext(Running, Protocol):
    """`JobContext` for a plain function: the same words, each of which waits.

    Its methods may be called from any thread but that of an event loop.
    """

    @property
    def inputs(self) -> Mapping[str, BlockingInput]:
        """The job's stored inputs by role."""

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the work is: a fraction between 0 and 1, and words for the user."""

    def log(self, message: str, **fields: object) -> None:
        """Add a line to the job's log, seen on its page."""

    def output(self, text: str) -> None:
        """Show a further piece of text on the job's page, as of `JobContext`."""

    def write(
        self, name: str, content: bytes | Path | Iterable[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        """Store an artifact beside the result, and answer its storage key; a Path is a file whose content it is."""
