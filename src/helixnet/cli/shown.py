"""What a run tells: events and failures on standard error as they come, and only its result on standard output.

Whatever a processor says comes from outside: control characters never reach the terminal.
"""

import sys
import time
import unicodedata
from collections.abc import Mapping
from typing import Any

import orjson

PROGRESS_EVERY_SECONDS = 0.25


def plain(text: str) -> str:
    """Text without characters that steer a terminal; line feeds and tabs stay."""
    return "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign) != "Cc")


class Shown:
    """Lines on standard error, as they come. Text that comes in pieces is shown as one."""

    def __init__(self) -> None:
        self._line_is_open = False
        self._progress_at = 0.0

    def line(self, words: str) -> None:
        """A line of its own."""
        start = "\n" if self._line_is_open else ""
        self._line_is_open = False
        print(start + plain(words), file=sys.stderr, flush=True)

    def progress(self, fraction: float, message: str) -> None:
        """At most four times a second, as on a job's page; the end always."""
        now = time.monotonic()
        if fraction >= 1 or now - self._progress_at >= PROGRESS_EVERY_SECONDS:
            self._progress_at = now
            self.line(f"{fraction:4.0%}  {message}")

    def log(self, message: str, fields: Mapping[str, object]) -> None:
        told = "".join(f"  {name}={value}" for name, value in fields.items())
        self.line(f"   ·  {message}{told}")

    def text(self, text: str) -> None:
        """A further piece of a text, as it is."""
        if text:
            print(plain(text), end="", file=sys.stderr, flush=True)
            self._line_is_open = not text.endswith("\n")

    def failure(self, error: Mapping[str, Any], trace: str = "") -> None:
        """Why the job is FAILED: the kind, the sentence, details, and the trace of a bug."""
        self.line(f"FAILED ({error.get('kind', 'bug')}): {error.get('message', '')}")
        details = error.get("details")
        if isinstance(details, dict):
            self._violations(details.get("violations"))
            details = {name: value for name, value in details.items() if name != "violations"}
        if details:
            self.line(as_text(details))
        if trace:
            self.line(trace.rstrip())

    def refusal(self, message: str, fields: Mapping[str, Any]) -> None:
        """Why there is no job at all, with every violation."""
        self.line(f"helix: {message}")
        self._violations(fields.get("violations"))

    def _violations(self, found: object) -> None:
        """A line for each; of a form that is not known, as JSON."""
        for each in found if isinstance(found, list) else ():
            if isinstance(each, dict) and "message" in each:
                self.line(f"  {each.get('path') or 'as a whole'}: {each['message']}")
            else:
                self.line(f"  {as_text(each)}")


def as_text(value: object) -> str:
    """JSON for people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
