"""After the last fault: wait until every job has ended and every orphan is purged, and read what it took."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from benchmarks.chaos_stack import Stack

LOOK_SECONDS = 0.1
# Beat purges a few prefixes at a time, at its leisure: so long for a start, and so long for each prefix.
PURGE_SECONDS, PREFIX_SECONDS = 90.0, 2.0

UNFINISHED = """
    SELECT count(*)
    FROM jobs
    WHERE status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED')
"""

# Orphans are looked for at an appointment up to a day away; nothing is under way any more, so it may be now.
BRING_FORWARD = """
    UPDATE doomed_prefixes
    SET due_at = now()
    WHERE due_at > now()
"""

DOOMED = """
    SELECT count(*)
    FROM doomed_prefixes
"""

LONGEST_GAP = """
    SELECT COALESCE(max(gap), 0)::float
    FROM (
        SELECT EXTRACT(EPOCH FROM at - lag(at) OVER (ORDER BY at)) AS gap
        FROM job_events
        WHERE kind = 'COMPLETED'
    ) AS gaps
"""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long it took, in seconds, from the end of the faults; `left` jobs had not ended by then."""

    seconds: float
    left: int


@dataclass(frozen=True, slots=True)
class Purge:
    """`announced` prefixes were to be looked at; after `seconds`, `left` of them still were."""

    announced: int
    seconds: float
    left: int


def wait_for_quiet(stack: Stack, since: float, patience: float) -> Quiet:
    """Wait until no job is unfinished, or until none has ended for `patience` seconds.

    `since` is when the last fault was over, on the monotonic clock. A slow machine may take its time; a job that is
    stuck is found all the same, since nobody brings any more.
    """
    fewest, ended_at = float("inf"), since
    while True:
        left = _asked(stack, lambda connection: _number(connection, UNFINISHED))
        now = time.monotonic()
        if left < fewest:
            fewest, ended_at = left, now
        if left == 0 or now - ended_at > patience:
            return Quiet(now - since, int(left))
        time.sleep(LOOK_SECONDS)


def wait_for_purge(stack: Stack) -> Purge:
    """Have beat look for orphans now, and wait until it has."""
    began = time.monotonic()
    announced = int(_asked(stack, lambda connection: _number(connection, DOOMED)))
    limit = PURGE_SECONDS + PREFIX_SECONDS * announced
    while True:
        left = int(_asked(stack, _left_to_purge))
        seconds = time.monotonic() - began
        if left == 0 or seconds > limit:
            return Purge(announced, seconds, left)
        time.sleep(LOOK_SECONDS)


def longest_standstill(stack: Stack) -> float:
    """The longest time, in seconds, in which no job at all was completed."""
    return _asked(stack, lambda connection: _number(connection, LONGEST_GAP))


def _left_to_purge(connection: psycopg.Connection[tuple[object, ...]]) -> float:
    connection.execute(BRING_FORWARD)
    return _number(connection, DOOMED)


def _number(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> float:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    assert isinstance(row[0], int | float)
    return row[0]


def _asked(stack: Stack, question: Callable[[psycopg.Connection[tuple[object, ...]]], Answer]) -> Answer:
    """The database's answer; a connection that breaks is replaced."""
    while True:
        try:
            with stack.connect() as connection:
                return question(connection)
        except psycopg.OperationalError:
            continue
