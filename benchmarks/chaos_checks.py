"""The checks from outside: what the database, the object folder and the promises say, by plain SQL and plain files."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from benchmarks.chaos_answers import Right, value_sha256
from benchmarks.chaos_load import Promise

Connection = psycopg.Connection[Any]
TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
BEGUN = "IN_PROGRESS"

JOBS = """
    SELECT id, status, attempt, max_attempts, result::text AS result, result_path, error::text AS error,
           events AS told
    FROM jobs
    ORDER BY id
"""

EVENTS = """
    SELECT job_id, seq, kind, attempt
    FROM job_events
    ORDER BY job_id, seq
"""

BATCHES = """
    SELECT batches.id, batches.size, count(jobs.id) AS found
    FROM batches
    LEFT JOIN jobs ON jobs.batch_id = batches.id
    GROUP BY batches.id
    HAVING batches.size <> count(jobs.id)
"""

ARTIFACTS = """
    SELECT storage_key, size, sha256
    FROM artifacts
    ORDER BY storage_key
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: which rule, and what was found."""

    rule: str
    found: str


@dataclass(frozen=True, slots=True)
class JobRow:
    id: UUID
    status: str
    attempt: int
    max_attempts: int
    result: str | None
    result_path: str | None
    error: str | None
    told: int


@dataclass(frozen=True, slots=True)
class EventRow:
    job_id: UUID
    seq: int
    kind: str
    attempt: int


def jobs(connection: Connection) -> dict[UUID, JobRow]:
    """Every job in the database."""
    with connection.cursor(row_factory=class_row(JobRow)) as cursor:
        return {job.id: job for job in cursor.execute(JOBS)}


def check_promises(rows: dict[UUID, JobRow], promises: Iterable[Promise], objects: Path) -> Iterator[Violation]:
    """Whether each accepted job has ended as it had to, with the right answer."""
    for promise in promises:
        job = rows.get(promise.job_id)
        if job is None:
            yield Violation("lost", f"{promise.kind} {promise.job_id} was accepted and is not in the database")
        elif job.status in TERMINAL:  # else `check_histories` tells
            yield from _check_end(job, promise, objects)


def check_histories(connection: Connection, rows: dict[UUID, JobRow]) -> Iterator[Violation]:
    """Whether every job, promised or not, ended once, and was left in peace afterwards."""
    told: set[UUID] = set()
    with connection.cursor(row_factory=class_row(EventRow)) as cursor:
        for job_id, group in groupby(cursor.execute(EVENTS), key=lambda event: event.job_id):
            told.add(job_id)
            events = list(group)
            if job_id not in rows:
                yield Violation("event without a job", f"{job_id}: {_story(events)}")
            else:
                yield from _check_history(rows[job_id], events)
    for job_id in rows.keys() - told:
        yield Violation("job without events", str(job_id))


def check_batches(connection: Connection) -> Iterator[Violation]:
    """Whether every batch has all of its jobs."""
    for batch_id, size, found in connection.execute(BATCHES):
        yield Violation("torn batch", f"batch {batch_id} has {found} of {size} jobs")


def check_objects(connection: Connection, folder: Path) -> Iterator[Violation]:
    """Whether every object has its row, and every row its object with the size and the SHA-256 it tells."""
    known: set[str] = set()
    for key, size, sha256 in connection.execute(ARTIFACTS):
        known.add(key)
        path = folder / key
        if not path.is_file():
            yield Violation("missing object", key)
        elif path.stat().st_size != size or _file_sha256(path) != sha256:
            yield Violation("damaged object", f"{key}: {path.stat().st_size} bytes on disk, {size} in its row")
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        if path.is_file() and key not in known:
            yield Violation("orphan object", f"{key}: {path.stat().st_size} bytes")


def _check_end(job: JobRow, promise: Promise, objects: Path) -> Iterator[Violation]:
    right = promise.right
    if job.status == "COMPLETED" and job.status in right.states:
        yield from _check_answer(job, promise.kind, right, objects)
    elif job.status not in right.states and not is_worn_out(job):
        yield Violation(
            "wrong end", f"{promise.kind} {job.id} is {job.status}, not {_one_of(right.states)}: {job.error}"
        )


def is_worn_out(job: JobRow) -> bool:
    """Whether a job FAILED because chaos took all of its attempts: an end that was promised too."""
    return job.status == "FAILED" and job.attempt >= job.max_attempts


def _check_answer(job: JobRow, kind: str, right: Right, objects: Path) -> Iterator[Violation]:
    """The answer in the row, and the one in storage: at least one is there, and each is right."""
    if job.result is None and job.result_path is None:
        yield Violation("wrong result", f"{kind} {job.id} is COMPLETED without a result")
    if job.result is not None and value_sha256(json.loads(job.result)) != right.value:
        yield Violation("wrong result", f"{kind} {job.id} has {job.result[:200]} in its row")
    if job.result_path is not None:
        path = objects / job.result_path
        if f"/attempt-{job.attempt}/" not in job.result_path:
            yield Violation("wrong result", f"{kind} {job.id}: {job.result_path} is not of attempt {job.attempt}")
        if not path.is_file():
            yield Violation("missing object", f"{kind} {job.id}: {job.result_path}")
        elif _file_sha256(path) != right.stored:
            yield Violation("wrong result", f"{kind} {job.id}: {job.result_path} has {path.read_bytes()[:200]!r}")


def _check_history(job: JobRow, events: list[EventRow]) -> Iterator[Violation]:
    story = f"{job.id}: {_story(events)}"
    ends = [event for event in events if event.kind in TERMINAL]
    if job.status not in TERMINAL:
        yield Violation("unfinished", f"{job.id} is {job.status}: {_story(events)}")
    elif len(ends) != 1:
        yield Violation("not one terminal event", story)
    elif ends[0].kind != job.status or ends[0].attempt != job.attempt:
        yield Violation("row and event differ", f"{job.status} in attempt {job.attempt}, but {story}")
    if ends and any(event.kind == BEGUN and event.seq > ends[0].seq for event in events):
        yield Violation("attempt after the end", story)
    elif ends and events[-1].seq > ends[-1].seq:
        yield Violation("event after the end", story)
    begun = Counter(event.attempt for event in events if event.kind == BEGUN)
    if any(times > 1 for times in begun.values()):
        yield Violation("attempt begun twice", story)
    if [event.seq for event in events] != list(range(1, job.told + 1)):
        yield Violation("gap in the events", f"{job.told} were told, {story}")


def _story(events: list[EventRow]) -> str:
    kinds = [f"{event.seq} {event.kind} ({event.attempt})" for event in events if event.kind not in ("LOG", "PROGRESS")]
    return ", ".join(kinds[:30])


def _one_of(states: frozenset[str]) -> str:
    return " or ".join(sorted(states))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
