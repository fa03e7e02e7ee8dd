"""A template and its values made into text; what goes wrong is told with the template's line."""

import traceback
from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from helixnet.processors.base import OverLimit, Reject
from helixnet.processors.document.sandbox import Sandbox

LONGEST_REPORT = 16 * 1024 * 1024
"""Characters."""
LONGEST_MESSAGE = 500

_TEMPLATE = "<template>"


def render(source: str, values: Mapping[str, Any], *, autoescape: bool) -> str:
    """The text that the template makes of the values; with `autoescape` they are written as text into HTML.

    Raises Reject for what is wrong with the template, and OverLimit for one that wants too much; `line` of the details
    is the template's.
    """
    sandbox = Sandbox(autoescape=autoescape)
    pieces: list[str] = []
    length = 0
    try:
        for piece in sandbox.from_string(source).generate(values):
            pieces.append(piece)
            length += len(piece)
            if length > LONGEST_REPORT:
                break
    except Exception as error:
        raise _told(error) from error
    if length > LONGEST_REPORT:
        raise OverLimit(f"The template writes over {LONGEST_REPORT:,} characters.")
    return "".join(pieces)


def _told(error: Exception) -> Reject:
    line = _line(error)
    place = f"The template fails in line {line}" if line else "The template fails"
    known: dict[str, object] = {} if line is None else {"line": line}
    match error:
        case OverLimit(reason=reason):
            return OverLimit(reason if line is None else f"{reason.rstrip('.')} (line {line}).", **known)
        case MemoryError():
            return OverLimit(f"{place}: it takes more memory than a report may.", **known)
        case RecursionError():
            return OverLimit(f"{place}: it goes too deep into itself.", **known)
        case TemplateSyntaxError():
            return Reject(f"The template can't be read, in line {line}: {_sentence(error.message or '')}", **known)
        case UndefinedError():
            return Reject(f"{place}: {_sentence(error.message or '')}", **known)
        case SecurityError():
            return Reject(f"{place}: {_sentence(str(error))} Templates see values and filters, nothing else.", **known)
        case TypeError() if "no loader" in str(error):
            return Reject(f"{place}: it names another template, and a report has only the one.", **known)
        case SyntaxError():
            return Reject(f"The template can't be used: {_sentence(str(error.msg))}")
    return Reject(f"{place}: {type(error).__name__}: {_sentence(str(error))}", **known)


def _line(error: Exception) -> int | None:
    """The innermost line of the template that the error came through."""
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _TEMPLATE]
    return lines[-1] if lines else None


def _sentence(message: str) -> str:
    message = message[:LONGEST_MESSAGE].strip()
    return message if message.endswith((".", "!", "?")) else f"{message}."
