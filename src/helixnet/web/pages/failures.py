"""A job's error as its page tells it: what the user can do about it, and its details in a form to be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What to do, by the error's kind.
ADVICE: Mapping[str, str] = {
    "input": "Change the file or the parameters as the message says, and submit it as a new job: as it is, it would "
    "fail again.",
    "limit": "Hand over less at once: a smaller file, or work that asks for less. If it has to be this much, ask the "
    "operator for more time or memory.",
    "upstream": "Something outside of HelixNet did not answer or refused. Retry the job later; if it fails again, ask "
    "the operator.",
    "worker_lost": "The machine or process that ran the job was lost. Retry it; if that happens again, ask the "
    "operator.",
    "bug": "This is not your fault: the processor did not foresee this. Ask the operator, and name the job’s id. "
    "Trying again seldom helps before it is mended.",
}
MOST_VIOLATIONS = 100


@dataclass(frozen=True, slots=True)
class Details:
    """Violations as rows of path and message, how many there are in all, and what else there is."""

    violations: Sequence[tuple[str, str]]
    count: int
    rest: Mapping[str, Any]


def shown(details: Mapping[str, Any] | None) -> Details | None:
    """The details of an error; a list called `violations`, whose items have a path and a message, becomes rows."""
    if not details:
        return None
    found = details.get("violations")
    if not isinstance(found, list) or not all(_is_violation(one) for one in found):
        return Details((), 0, details)
    rows = [(str(one.get("path", "")), str(one["message"])) for one in found[:MOST_VIOLATIONS]]
    return Details(rows, len(found), {name: value for name, value in details.items() if name != "violations"})


def _is_violation(value: object) -> bool:
    return isinstance(value, dict) and "message" in value and value.keys() <= {"path", "message"}
