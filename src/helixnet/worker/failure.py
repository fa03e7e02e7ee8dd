"""Failures: what an exception means for its job, in words for the user, and which failures are of one kind."""

import hashlib
import itertools
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any

import orjson

from helixnet.errors import HelixError, Unavailable
from helixnet.processors.base import Reject, Retry
from helixnet.worker.isolation.errors import ProcessorFailed
from helixnet.worker.words import storable

# Enough of a trace to find the place; of an endless recursion the rest says nothing new.
TRACE_FRAMES = 20
LONGEST_TRACE = 16_000
LONGEST_CHAIN = 10
LONGEST_NAME = 500
LARGEST_DETAILS, MOST_DETAILS, LONGEST_DETAIL = 16 * 1024, 20, 500
FINGERPRINT_CHARACTERS = 16

PLATFORM = "helixnet"
BUILT_IN = f"{PLATFORM}.processors"
NO_PROCESSORS = frozenset({f"{BUILT_IN}.base", f"{BUILT_IN}.context", f"{BUILT_IN}.registry"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an attempt failed.

    `error` is what the job shows: `kind`, `message`, `type`, `place`, `fingerprint`, perhaps `details`. `retry_after`
    None: by policy. `final`: no attempt can change it. `trace` is the end of the stack
    trace, for the operator alone: it goes to the log, and to where admins find it.
    """

    error: dict[str, Any]
    fingerprint: str
    final: bool = False
    retry_after: timedelta | None = None
    trace: str = ""


def failed(error: BaseException, processor: str) -> Failure:
    """What an exception of a processor means. It never raises, whatever it is given."""
    cause = _meant(error)
    match cause:
        case Reject(kind=kind, reason=reason, details=details):
            return _failure(processor, error, cause, kind, reason, details, final=True)
        case Retry(reason=reason, after=after):
            return _failure(processor, error, cause, "upstream", reason, retry_after=after)
        case Unavailable(message=message):
            return _failure(processor, error, cause, "upstream", message)
        case HelixError(message=message):
            return _failure(processor, error, cause, "input", message)
        case ProcessorFailed(kind=kind, message=message, type_name=type_name, place=place, trace=trace):
            words = message if kind == "limit" else _told_words(type_name, message)
            return _told(processor, kind, words, type_name, place, trace=trace)
        case MemoryError():
            return _failure(processor, error, cause, "limit", "The work needed more memory than there is.")
        case ConnectionError():
            words = f"Something that the work needs could not be reached: {_words(cause) or type(cause).__name__}"
            return _failure(processor, error, cause, "upstream", words)
    return _failure(processor, error, cause, "bug", _told_words(type(cause).__name__, _words(cause)))


def time_limit(limit: timedelta, processor: str) -> Failure:
    """The attempt was stopped because it took longer than `limit`."""
    message = f"The work took longer than its time limit of {limit.total_seconds():g} s."
    return _told(processor, "limit", message, "TimeLimit", "")


def fingerprint_of(processor: str, kind: str, type_name: str, place: str) -> str:
    """The same for failures that are likely to have one cause: the message, which names numbers and names, is left out.

    SHA-256 of the four, parted by line feeds, in hex, cut to 16 characters; the reaper forms it in SQL.
    """
    parts = "\n".join((processor, kind, type_name, place))
    return hashlib.sha256(parts.encode()).hexdigest()[:FINGERPRINT_CHARACTERS]


def _told(processor: str, kind: str, message: str, type_name: str, place: str, trace: str = "", **more: Any) -> Failure:
    fingerprint = fingerprint_of(processor, kind, type_name, place)
    error = {"kind": kind, "message": storable(message), "type": type_name, "place": place, "fingerprint": fingerprint}
    return Failure(error=error, fingerprint=fingerprint, trace=storable(trace, LONGEST_TRACE), **more)


def _failure(
    processor: str,
    error: BaseException,
    cause: BaseException,
    kind: str,
    message: object,
    details: dict[str, object] | None = None,
    **more: Any,
) -> Failure:
    type_name = f"{type(cause).__module__}.{type(cause).__qualname__}".removeprefix("builtins.")[:LONGEST_NAME]
    told = _told(processor, kind, _words(message), type_name, _place(error, cause), trace=_trace(error), **more)
    if details:
        told.error["details"] = _details(details)
    return told


def _told_words(type_name: str, words: str) -> str:
    return f"The processor failed: {type_name}: {words}" if words else f"The processor failed: {type_name}"


def _meant(error: BaseException) -> BaseException:
    """Of a group the error that counts: a task group wraps what went wrong in its tasks.

    A processor that rejects or asks for a retry in one of its tasks means the job; else the first error is told.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves, groups = list[BaseException](), deque[BaseException]([error])
    while groups:
        inner = groups.popleft()
        if isinstance(inner, BaseExceptionGroup):
            groups.extendleft(reversed(inner.exceptions))
        else:
            leaves.append(inner)
    for outcome in (Reject, Retry):
        for leaf in leaves:
            if isinstance(leaf, outcome):
                return leaf
    return leaves[0]


def _place(error: BaseException, cause: BaseException) -> str:
    """`module:function` of the innermost call in the processor's own package, where the failure can be mended.

    Looked for in the error that counts, then in what caused it, then in the group around it.
    """
    chain = [cause]
    while len(chain) < LONGEST_CHAIN and chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    package = next((found for each in (error, *chain) if (found := _package(each.__traceback__))), "")
    for each in (*chain, error) if package else ():
        place = ""
        for module, function in _frames(each.__traceback__):
            if _package_of(module) == package:
                place = f"{module}:{function}"
        if place:
            return place[:LONGEST_NAME]
    return ""


def _package(trace: TracebackType | None) -> str:
    """The processor's package: of the outermost call that is neither the platform's nor Python's own."""
    return next((package for module, _function in _frames(trace) if (package := _package_of(module))), "")


def _package_of(module: str) -> str:
    first = module.partition(".")[0]
    if first == PLATFORM:
        return BUILT_IN if module.startswith(f"{BUILT_IN}.") and module not in NO_PROCESSORS else ""
    return "" if first in sys.stdlib_module_names else first


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    """The calls of a traceback from the outermost in: module and function."""
    while trace is not None:
        yield str(trace.tb_frame.f_globals.get("__name__", "?")), trace.tb_frame.f_code.co_qualname
        trace = trace.tb_next


def _trace(error: BaseException) -> str:
    """The end of the traceback as text, without the values of variables."""
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-TRACE_FRAMES)
    except Exception:  # noqa: BLE001 - whatever an exception's own methods do, it has failed
        return ""
    return "".join(lines)[-LONGEST_TRACE:]


def _words(value: object) -> str:
    """What a processor's value says of itself, as PostgreSQL can hold it."""
    try:
        return storable(str(value))
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__}>"


def _details(details: dict[str, object]) -> object:
    """Details as JSON; those that are none, or are too many, in words."""
    try:
        written = orjson.dumps(details, default=str, option=orjson.OPT_NON_STR_KEYS)
        if len(written) <= LARGEST_DETAILS and b"\\u0000" not in written:
            return orjson.loads(written)
    except Exception:  # noqa: BLE001, S110 - as above
        pass
    few = itertools.islice(details.items(), MOST_DETAILS)
    return {_words(name)[:LONGEST_DETAIL]: _words(value)[:LONGEST_DETAIL] for name, value in few}
