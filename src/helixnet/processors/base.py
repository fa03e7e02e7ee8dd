"""What a processor is: a named, typed function from stored inputs to a JSON result and artifacts.

A processor returns its result (anything that is JSON, or a Pydantic model) or raises one of the outcomes below;
any other exception is a failure, retried by the processor's policy.
"""

import inspect
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

# Whose fault a failure is, or what stood in its way; the user's page and the operator's counts go by it.
Kind = Literal["input", "limit", "upstream", "bug"]
# What clients say of a file of which they know nothing.
UNKNOWN_MEDIA_TYPE = "application/octet-stream"


class Reject(Exception):
    """The input can't be processed, now or ever: the job ends FAILED at once. The reason is shown to the user.

    `details` are further facts as JSON, such as a list of violations.
    """

    kind: ClassVar[Kind] = "input"

    def __init__(self, reason: str, **details: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


class OverLimit(Reject):
    """The input asks for more than a job may use, and would again: the job ends FAILED at once."""

    kind = "limit"


class UpstreamFailed(Reject):
    """Something outside refused, and will again: the job ends FAILED at once. What may pass by itself is a Retry."""

    kind = "upstream"


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
    """A file that a processor reads, under the role that the job's payload names it by (`content_key`, say).

    `media_types` are those that it takes (`text/*` names them all), any when empty; `max_bytes` is the largest size.
    Both are looked at when the job is submitted. A file of unknown media type is let through: the processor looks
    at what it holds in any case.
    """

    description: str
    required: bool = True
    media_types: tuple[str, ...] = ()
    max_bytes: int | None = None

    def takes(self, media_type: str, filename: str) -> bool:
        """Whether a file that is said to be of this media type, or by its name is of one, may be read."""
        said = media_type.partition(";")[0].strip().lower()
        if not self.media_types or said in ("", UNKNOWN_MEDIA_TYPE):
            return True
        named = mimetypes.guess_type(filename, strict=False)[0] or ""
        return any(fnmatchcase(each, accepted) for each in (said, named) for accepted in self.media_types)


@dataclass(frozen=True, slots=True)
class Output:
    """An artifact that a processor may write beside its result, by file name or pattern (`*.csv`)."""

    description: str
    media_type: str = UNKNOWN_MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a failed attempt is tried again: exponential backoff with jitter, bounded by `longest`.

    An attempt that ran into its limits (time, memory) is tried again as well, unless `again_after_limit` is false:
    work that would need as much the next time ends FAILED at once.
    """

    max_attempts: int = 3
    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=10)
    again_after_limit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What the process of an isolated processor may use; None means no limit.

    `memory_bytes` is address space, which is more than what is in use: every thread and every library takes some of
    it. A process that may start others has that limit for itself, and so has each of them; what all of them hold in
    memory together may not be more either. `file_bytes` bounds each file and `scratch_bytes` the scratch folder;
    `cpu_seconds` and `open_files` hold for each process.
    `processes` is how many others there may be at a time, none as a rule: an attempt to start one then fails with
    BlockingIOError. Where some are allowed, one more ends the attempt. Threads are not counted.
    `network` lets it connect to others by IP, this machine's own servers among them; without it there is no socket.
    """

    memory_bytes: int | None = 2 * 1024**3
    cpu_seconds: int | None = None
    file_bytes: int | None = 1024**3
    scratch_bytes: int | None = 4 * 1024**3
    open_files: int | None = 256
    processes: int | None = 0
    network: bool = False


# (JobContext, params) -> awaitable result; in a process of its own also (BlockingContext, params) -> result.
Run = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """One processor: its name and version, its function, and the limits it runs under.

    `run(context, params)` is a coroutine function, which gets a `JobContext`, or a plain function, which is called in
    a thread and gets a `BlockingContext`. With `isolation="process"` each attempt has a process of its own, which is
    killed with all that it started when the attempt is told to stop, and which runs under `limits`; work that keeps
    the CPU busy, and work on what nobody vouches for, belongs there.
    `preload` names modules for it to find imported, as those that take long: they are not imported anywhere else.
    `outputs` says which artifacts it may write, by name. `development_only` processors are unknown in production.
    A `metered` one spends money: its owner's budget is looked at when a job is submitted and when an attempt starts,
    and its context is a `MeteredContext`. It is a coroutine function and runs inline.
    """

    name: str
    version: str
    description: str
    run: Run
    params: type[BaseModel] = NoParams
    inputs: Mapping[str, InputRole] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    queue: str = "default"
    time_limit: timedelta = timedelta(minutes=30)
    retry: RetryPolicy = RetryPolicy()
    isolation: Literal["inline", "process"] = "inline"
    limits: ProcessLimits = ProcessLimits()
    preload: tuple[str, ...] = ()
    development_only: bool = False
    metered: bool = False

    def __post_init__(self) -> None:
        if self.metered and (self.isolation == "process" or not inspect.iscoroutinefunction(self.run)):
            raise ValueError(f"{self.name} is metered: it must be a coroutine function that runs inline")
