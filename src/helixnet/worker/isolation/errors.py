"""How an isolated attempt can fail, in the worker's words."""

import signal
from typing import Any, Literal

from helixnet.errors import Conflict, Forbidden, HelixError, Invalid, NotFound, TooLarge, Unauthenticated, Unavailable

_REFUSALS: dict[str, type[HelixError]] = {
    error.code: error for error in (Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, Unavailable)
}

LARGE_FILE = "The work wrote a larger file than it may."


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


def death(code: int) -> ProcessorFailed:
    """A process that ended without an outcome: `code` is its exit code, or the signal that killed it, negative."""
    if code >= 0:
        return ProcessorFailed(f"The process ended by itself, with exit code {code}.", type_name=f"Exit{code}")
    name = _signal_name(-code)
    match -code:
        case signal.SIGXCPU:
            return ProcessorFailed("The work took more CPU time than it may.", kind="limit", type_name=name)
        case signal.SIGXFSZ:
            return ProcessorFailed(LARGE_FILE, kind="limit", type_name=name)
        case signal.SIGKILL:
            message = "The process was killed by the system, most likely because memory ran out."
            return ProcessorFailed(message, kind="limit", type_name=name)
    return ProcessorFailed(f"The process crashed: {_sentence(-code)} ({name}).", type_name=name)


def over(limit: str, type_name: str, place: str, trace: str) -> ProcessorFailed:
    """A process that ran into one of its limits and said so."""
    message = {
        "memory": "The work took more memory than it may.",
        "file": LARGE_FILE,
        "files": "The work opened more files than it may.",
    }[limit]
    return ProcessorFailed(message, kind="limit", type_name=type_name, place=place, trace=trace)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _sentence(number: int) -> str:
    return (signal.strsignal(number) or "an unknown signal").lower()
