"""weblog.summary: requests, errors and bytes of an access log, as a whole, by path and by hour."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from helixnet.processors import BlockingContext, InputRole, Output, ProcessLimits, Processor, Reject
from helixnet_weblog.lines import LONGEST_LINE, Request, parsed

TELL_EVERY_LINES = 20_000
# A log may name as many paths as it likes: those that come after these are counted together.
MOST_PATHS = 100_000
OTHER_PATHS = "(others)"


class SummaryParams(BaseModel):
    """What the user may set."""

    model_config = ConfigDict(extra="forbid")

    paths: int = Field(default=10, ge=1, le=1000, description="How many of the paths that were asked for most to show.")
    unreadable: float = Field(
        default=0.1, ge=0, le=1, description="The largest share of lines that may be no lines of an access log."
    )


class PathCount(BaseModel):
    path: str
    requests: int
    errors: int = Field(description="Answers with a status of 400 or more.")


class Summary(BaseModel):
    requests: int
    unreadable: int = Field(description="Lines that are none of an access log.")
    clients: int = Field(description="Different addresses.")
    bytes_sent: int
    first: datetime | None
    last: datetime | None
    statuses: dict[int, int]
    paths: list[PathCount]


@dataclass
class _Hour:
    requests: int = 0
    errors: int = 0
    sent: int = 0


@dataclass
class _Counts:
    """What is known after some lines."""

    requests: int = 0
    unreadable: int = 0
    first_unreadable: int = 0
    sent: int = 0
    first: datetime | None = None
    last: datetime | None = None
    clients: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    hours: dict[datetime, _Hour] = field(default_factory=dict)

    def add(self, request: Request) -> None:
        failed = request.status >= 400
        path = request.path if request.path in self.paths or len(self.paths) < MOST_PATHS else OTHER_PATHS
        self.requests += 1
        self.sent += request.sent
        self.clients.add(request.host)
        self.statuses[request.status] += 1
        self.paths[path] += 1
        self.errors[path] += failed
        self.first = request.at if self.first is None else min(self.first, request.at)
        self.last = request.at if self.last is None else max(self.last, request.at)
        hour = self.hours.setdefault(request.at.replace(minute=0, second=0), _Hour())
        hour.requests += 1
        hour.errors += failed
        hour.sent += request.sent


def summarize(context: BlockingContext, params: SummaryParams) -> Summary:
    """Count the log's requests, and write hours.csv.

    Raises Reject when more of its lines than `params.unreadable` allows are none of an access log.
    """
    log = context.inputs["content_key"]
    context.log("reading", file=log.filename, bytes=log.size)
    counts, read = _Counts(), 0
    for number, raw in enumerate(_lines(log.path()), 1):
        read += len(raw)
        request = parsed(raw.decode("utf-8", "replace"))
        if request is not None:
            counts.add(request)
        else:
            counts.unreadable += 1
            counts.first_unreadable = counts.first_unreadable or number
        if number % TELL_EVERY_LINES == 0:
            context.progress(read / log.size, f"{number:,} lines")
    _check(counts, params.unreadable)
    table = context.scratch / "hours.csv"
    _write_hours(counts, table)
    context.write("hours.csv", table, "text/csv")
    context.progress(1, f"{counts.requests:,} requests")
    return Summary(
        requests=counts.requests,
        unreadable=counts.unreadable,
        clients=len(counts.clients),
        bytes_sent=counts.sent,
        first=counts.first,
        last=counts.last,
        statuses=dict(sorted(counts.statuses.items())),
        paths=[
            PathCount(path=path, requests=requests, errors=counts.errors[path])
            for path, requests in counts.paths.most_common(params.paths)
        ],
    )


def _lines(path: Path) -> Iterator[bytes]:
    """The file's lines without their ends; one that is too long comes in parts, and memory stays as it is."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            yield line.rstrip(b"\r\n")


def _check(counts: _Counts, share: float) -> None:
    lines = counts.requests + counts.unreadable
    if lines == 0:
        raise Reject("The log is empty.")
    if counts.unreadable > share * lines:
        raise Reject(
            f"This is no access log in the common or combined format: {counts.unreadable:,} of {lines:,} lines "
            f"can't be read, the first of them line {counts.first_unreadable:,}.",
            unreadable=counts.unreadable,
            lines=lines,
            first_line=counts.first_unreadable,
        )


def _write_hours(counts: _Counts, path: Path) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["hour", "requests", "errors", "bytes_sent"])
        for hour, about in sorted(counts.hours.items()):
            table.writerow([hour.isoformat(), about.requests, about.errors, about.sent])


SUMMARY = Processor(
    name="weblog.summary",
    version="1",
    description="Counts the requests, errors and bytes of a web server's access log, by path and by hour.",
    run=summarize,
    params=SummaryParams,
    inputs={
        "content_key": InputRole(
            "An access log in the common or combined format.", media_types=("text/*",), max_bytes=10 * 1024**3
        )
    },
    outputs={"hours.csv": Output("Requests, errors and bytes of each hour.", "text/csv")},
    # It reads what nobody vouches for, and keeps the CPU busy: in a process of its own, with a limit to its memory.
    isolation="process",
    limits=ProcessLimits(memory_bytes=1024**3),
)
