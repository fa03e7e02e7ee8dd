"""How an isolated attempt can fail, in the worker's words."""

import signal
from typing import Any, Literal

from helixnet.errors import Conflict, Forbidden, HelixError, Invalid, NotFound, TooLarge, Unauthenticated, Unavailable

_REFUSALS: dict[str, type[HelixError]] = {
    error.code: error for error in (Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, Unavailable)
}

# What the user is told of each limit.
OVER = {
    "memory": "The work took more memory than it may.",
    "file": "The work wrote a larger file than it may.",
    "files": "The work opened more files than it may.",
    "scratch": "The work filled its scratch folder with more than it may.",
    "processes": "The work started more processes than it may.",
}
# The words of C++, Rust, glibc and Python for an allocation that failed.
OUT_OF_MEMORY = (
    "std::bad_alloc",
    "memory allocation of",
    "Cannot allocate memory",
    "can't start new thread",
    "MemoryError",
)


class ProcessorFailed(Exception):
    """An isolated processor failed. `kind` is that of the job's error: `limit` when the process used more than it may,
    else `bug`.

    `type_name` is the exception's type in the isolated process, or a word for its death; `place` is `module:function`
    of the innermost call in the processor's own package, and `trace` the traceback; both are empty without an
    exception.
    """

    def __init__(
        self, message: str, *, kind: Literal["bug", "limit"] = "bug", type_name: str, place: str = "", trace: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.type_name = type_name
        self.place = place
        self.trace = trace


def refusal(code: str, message: str, fields: dict[str, Any]) -> HelixError:
    """The HelixError of this code."""
    error = _REFUSALS.get(code, HelixError)(message)
    error.fields = fields
    return error


def death(code: int, said: str = "") -> ProcessorFailed:
    """A process that ended without an outcome: `code` is its exit code, or the signal that killed it, negative.

    `said` is the end of what it wrote to its standard error, where native libraries say why they gave up.
    """
    name = f"Exit{code}" if code >= 0 else _signal_name(-code)
    if code != -signal.SIGKILL and any(sign in said for sign in OUT_OF_MEMORY):
        return over("memory", name, trace=said)
    if code >= 0:
        return ProcessorFailed(f"The process ended by itself, with exit code {code}.", type_name=name, trace=said)
    match -code:
        case signal.SIGXCPU:
            return ProcessorFailed("The work took more CPU time than it may.", kind="limit", type_name=name)
        case signal.SIGXFSZ:
            return over("file", name)
        case signal.SIGKILL:
            message = "The process was killed by the system, most likely because memory ran out."
            return ProcessorFailed(message, kind="limit", type_name=name)
    return ProcessorFailed(f"The process crashed: {_sentence(-code)} ({name}).", type_name=name, trace=said)


def over(limit: str, type_name: str, place: str = "", trace: str = "") -> ProcessorFailed:
    """A process that ran into one of its limits: those of OVER."""
    return ProcessorFailed(OVER[limit], kind="limit", type_name=type_name, place=place, trace=trace)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _sentence(number: int) -> str:
    return (signal.strsignal(number) or "an unknown signal").lower()
