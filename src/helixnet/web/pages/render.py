"""Pages as answers: the templates, what they may use, and the headers that every page carries."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import orjson
from fastapi.responses import HTMLResponse

WEB = Path(__file__).parent.parent
STATIC = WEB / "static"

# The address of an asset changes with its content, so browsers may keep it for as long as they like.
HASH_LENGTH = 12
SIZE_STEP = 1024

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(template: str, status: int = 200, headers: Mapping[str, str] | None = None, /, **values: Any) -> HTMLResponse:
    """The template, filled with `values`, as an answer."""
    return HTMLResponse(_environment().get_template(template).render(values), status, dict(headers or {}))


def asset(name: str) -> str:
    """The address of a file in `static/`."""
    path = STATIC / name
    return f"/static/{name}?v={_digest(path, path.stat().st_mtime_ns)}"


@cache
def _digest(path: Path, _modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:HASH_LENGTH]


def size(count: int) -> str:
    """Bytes for people: `5.2 KiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < SIZE_STEP:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= SIZE_STEP
    return f"{amount:.1f} TiB"


def moment(at: datetime) -> str:
    """A time for people, in UTC; the page's script turns it into the reader's own."""
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def took(start: datetime, end: datetime) -> str:
    """How long something lasted: `0.42 s`, `3 min 5 s`, `2 h 10 min`."""
    seconds = max((end - start).total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def pretty(value: object) -> str:
    """JSON with indentation; the template escapes it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(WEB / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset
    environment.filters |= {"size": size, "moment": moment, "pretty": pretty}
    environment.globals["took"] = took
    return environment
