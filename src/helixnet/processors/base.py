"""What a processor is: a named, typed function from stored inputs to a JSON result and artifacts.

A processor returns its result (anything that is JSON, or a Pydantic model) or raises one of the outcomes below;
any other exception is a failure, retried by the processor's policy.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Reject(Exception):
    """The input can't be processed, now or ever: the job ends FAILED at once. The reason is shown to the user."""

    def __init__(self, reason: str, **details: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


class Retry(Exception):
    """Try again later: the attempt ends and the job waits for `after` (or for the policy's backoff)."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class NoParams(BaseModel):
    """The parameters of a processor that has none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class InputRole:
    """A file that a processor reads, under the role that the job's payload names it by (`content_key`, say)."""

    description: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a failed attempt is tried again: exponential backoff with full jitter, bounded by `longest`."""

    max_attempts: int = 3
    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=10)


class Input(Protocol):
    """A stored file, opened for reading."""

    @property
    def key(self) -> str:
        """The object's storage key."""

    @property
    def filename(self) -> str:
        """The name that the user gave the file."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    async def read(self, limit: int) -> bytes:
        """The whole content; raises Reject when it is larger than `limit` bytes."""

    def stream(self) -> AsyncIterator[bytes]:
        """The content in pieces, in order, in constant memory."""


class JobContext(Protocol):
    """What a running processor may ask of the platform."""

    @property
    def job_id(self) -> UUID:
        """The job's id: with `attempt` an idempotency key for calls to the outside."""

    @property
    def attempt(self) -> int:
        """The attempt, counted from 1."""

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The job's stored inputs by role."""

    async def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the work is: a fraction between 0 and 1, and words for the user."""

    async def log(self, message: str, **fields: object) -> None:
        """Add a line to the job's log, seen on its page."""

    async def write(
        self, name: str, content: bytes | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        """Store an artifact beside the result, and answer its storage key."""

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was told to stop; long loops look at it and return early."""


class BlockingInput(Protocol):
    """A stored file, as a plain function of an isolated processor reads it."""

    @property
    def key(self) -> str:
        """The object's storage key."""

    @property
    def filename(self) -> str:
        """The name that the user gave the file."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    def read(self, limit: int) -> bytes:
        """The whole content; raises Reject when it is larger than `limit` bytes."""

    def stream(self) -> Iterator[bytes]:
        """The content in pieces, in order, in constant memory."""


class BlockingContext(Protocol):
    """`JobContext` for a plain function, which only an isolated processor may be: the same words, each of which waits.

    Its methods may be called from any thread.
    """

    @property
    def job_id(self) -> UUID:
        """The job's id: with `attempt` an idempotency key for calls to the outside."""

    @property
    def attempt(self) -> int:
        """The attempt, counted from 1."""

    @property
    def inputs(self) -> Mapping[str, BlockingInput]:
        """The job's stored inputs by role."""

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the work is: a fraction between 0 and 1, and words for the user."""

    def log(self, message: str, **fields: object) -> None:
        """Add a line to the job's log, seen on its page."""

    def write(self, name: str, content: bytes | Iterable[bytes], media_type: str = "application/octet-stream") -> str:
        """Store an artifact beside the result, and answer its storage key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What the process of an isolated processor may use; None means no limit. A process that it starts has the same
    limits for itself, so they bound each process and not their sum.

    Memory is address space, which is more than what is in use: every thread and every library takes some of it.
    """

    memory_bytes: int | None = 2 * 1024**3
    cpu_seconds: int | None = None
    file_bytes: int | None = 1024**3
    open_files: int | None = 256


# (JobContext, params) -> awaitable result; in a process of its own also (BlockingContext, params) -> result.
Run = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """One processor: its name and version, its function, and the limits it runs under.

    `run(context, params)` is a coroutine function. Work that keeps the CPU busy belongs in `asyncio.to_thread`, or in
    a process of its own: with `isolation="process"` each attempt has one, which is killed with all that it started
    when the attempt is told to stop, and which runs under `limits`. There `run` may be a plain function as well; it
    is called in a thread with a `BlockingContext`.
    `development_only` processors are unknown in production.
    """

    name: str
    version: str
    description: str
    run: Run
    params: type[BaseModel] = NoParams
    inputs: Mapping[str, InputRole] = field(default_factory=dict)
    queue: str = "default"
    time_limit: timedelta = timedelta(minutes=30)
    retry: RetryPolicy = RetryPolicy()
    isolation: Literal["inline", "process"] = "inline"
    limits: ProcessLimits = ProcessLimits()
    development_only: bool = False

    def __post_init__(self) -> None:
        if self.isolation == "inline" and not inspect.iscoroutinefunction(self.run):
            raise TypeError(f"processor {self.name!r}: run must be a coroutine function, unless isolation is 'process'")
