"""The errors that HelixNet's services raise; `web/errors.py` alone turns them into HTTP answers.

HelixError
├── Invalid          422  what was asked makes no sense as it stands
├── Unauthenticated  401  nobody is signed in, or the proof is stale
├── OverBudget       402  the owner has spent what may be spent in a month
├── Forbidden        403  signed in, but not allowed
├── NotFound         404  not there, or not yours: the two are never told apart
├── Conflict         409  true to form, but the state of things forbids it
├── TooLarge         413  over a limit that the message names
├── UnsupportedMedia 415  a body in a form that this route does not read
└── Unavailable      503  a part of the system is away; trying again later makes sense

CannotStart            a process can't begin its work; the command line tells it in a line
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class HelixError(Exception):
    """A problem with a sentence for the user.

    `code` is stable and for machines, `status` the HTTP status, `fields` further facts that may be shown.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class Invalid(HelixError):
    code = "invalid"
    status = 422


class Unauthenticated(HelixError):
    code = "unauthenticated"
    status = 401


class OverBudget(HelixError):
    code = "over_budget"
    status = 402


class Forbidden(HelixError):
    code = "forbidden"
    status = 403


class NotFound(HelixError):
    code = "not_found"
    status = 404


class Conflict(HelixError):
    code = "conflict"
    status = 409


class TooLarge(HelixError):
    code = "too_large"
    status = 413


class UnsupportedMedia(HelixError):
    code = "unsupported_media"
    status = 415


class Unavailable(HelixError):
    code = "unavailable"
    status = 503


class CannotStart(Exception):
    """A process can't begin its work, and the message says what the user can do about it."""


def violations(problems: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What a validator found (Pydantic's `errors()`), as the `violations` of an Invalid: each path and message."""
    return [{"path": ".".join(str(step) for step in problem["loc"]), "message": problem["msg"]} for problem in problems]
