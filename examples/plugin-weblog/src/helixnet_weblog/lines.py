"""The lines of an access log, in the common or the combined format.

Source: Apache HTTP Server documentation, "Log Files", sections "Common Log Format" and "Combined Log Format".
"""

import re
from dataclasses import dataclass
from datetime import datetime

# httpd cuts the request line at 8 KiB by default, and the headers that are logged as well.
LONGEST_LINE = 64 * 1024
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(rf"(\S+) \S+ .*? \[([^\]]+)\] {_QUOTED} (\d{{3}}) (\d+|-)(?: {_QUOTED} {_QUOTED})?\s*")


@dataclass(frozen=True, slots=True)
class Request:
    """One line: who asked for what, when, and what the server answered; `sent` is in bytes."""

    host: str
    at: datetime
    path: str
    status: int
    sent: int


def parsed(line: str) -> Request | None:
    """The request that a line tells of, or None when it is no line of an access log."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    host, time, request, status, sent = found.groups()[:5]
    try:
        at = datetime.strptime(time, "%d/%b/%Y:%H:%M:%S %z")
    except ValueError:
        return None
    words = request.split(" ")
    path = words[1].partition("?")[0] if len(words) > 1 else request
    return Request(host, at, path, int(status), 0 if sent == "-" else int(sent))
