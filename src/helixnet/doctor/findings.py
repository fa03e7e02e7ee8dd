"""What the doctor finds: one line of what is, one line of what to do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

from helixnet import log
from helixnet.config import Settings
from helixnet.errors import HelixError


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"  # worth knowing; nothing is wrong
    WARNING = "warning"
    ERROR = "error"


EXIT_CODES = {Level.OK: 0, Level.NOTE: 0, Level.WARNING: 1, Level.ERROR: 2}
LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is stable and for machines; `advice` says what to do, and is empty where nothing is to be done."""

    check: str
    level: Level
    message: str
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """The worst that was found."""
        return max((finding.level for finding in self.findings), key=EXIT_CODES.__getitem__, default=Level.OK)

    @property
    def exit_code(self) -> int:
        """0 when all is well, 1 with a warning, 2 with an error."""
        return EXIT_CODES[self.level]

    def of(self, check: str) -> list[Finding]:
        """The findings of a check, or of all whose names begin so."""
        return [finding for finding in self.findings if finding.check == check or finding.check.startswith(f"{check}.")]

    def as_dict(self) -> dict[str, Any]:
        return {
            "status": self.level if EXIT_CODES[self.level] else Level.OK,
            "exit_code": self.exit_code,
            "findings": [asdict(finding) for finding in self.findings],
        }


def ok(check: str, message: str, **facts: Any) -> Finding:
    return Finding(check, Level.OK, message, "", facts)


def note(check: str, message: str, advice: str = "", **facts: Any) -> Finding:
    return Finding(check, Level.NOTE, message, advice, facts)


def warning(check: str, message: str, advice: str, **facts: Any) -> Finding:
    return Finding(check, Level.WARNING, message, advice, facts)


def error(check: str, message: str, advice: str, **facts: Any) -> Finding:
    return Finding(check, Level.ERROR, message, advice, facts)


def said(problem: BaseException, settings: Settings) -> str:
    """What an outside library said, in one line that can be shown: no control characters, none of our secrets."""
    # What SQLAlchemy makes of it says less, and goes on with the statement; our own words say less than their cause.
    told = getattr(problem, "orig", None) or (isinstance(problem, HelixError) and problem.__cause__) or problem
    text = " ".join(str(told).split()) or type(told).__name__
    return plain(text, secrets(settings))


def plain(text: str, hidden: Iterable[str] = ()) -> str:
    """A text from outside that can be shown on a terminal."""
    for secret in hidden:
        text = text.replace(secret, "***")
    text = "".join(letter for letter in text.translate(log.CONTROL) if letter.isprintable())
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def secrets(settings: Settings) -> list[str]:
    """Every secret of the settings as it may turn up in a message, the longest first."""
    found: set[str] = set()
    for name in ("database_url", "broker_url", "cache_url"):
        url = getattr(settings, name).get_secret_value()
        try:
            password = urlsplit(url).password
        except ValueError:
            password = None
        found |= {url} | ({password, unquote(password)} if password else set())
    for name in ("secret_key", "storage_secret_key"):
        found.add(getattr(settings, name).get_secret_value())
    return sorted(filter(None, found), key=len, reverse=True)


def words(time: timedelta) -> str:
    """A length of time for people."""
    seconds = time.total_seconds()
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
