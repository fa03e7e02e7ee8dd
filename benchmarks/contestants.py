"""Who takes part in the race of no-op jobs: each one can be started, given a batch, asked whether it is done, ended."""

import time
from abc import ABC, abstractmethod
from typing import LiteralString

import psycopg

from benchmarks.ground import Ground
from benchmarks.processes import Group, Submitted

PROCESSES = 2
BATCH_SECONDS = 60.0


class Contestant(ABC):
    """A job system with two worker processes. `key` names it in the report's data, `title` in its text."""

    key: str
    title: str
    database: str | None = None
    # The jobs that are not done yet, as SQL that answers with one boolean; and how many are done.
    open_jobs: LiteralString = ""
    done_jobs: LiteralString = ""

    def __init__(self, ground: Ground, jobs: int) -> None:
        self.ground = ground
        self.jobs = jobs
        self._processes = Group()
        self._connection: psycopg.Connection[tuple[object]] | None = None

    def start(self) -> None:
        """Start the worker processes and the submitter, and wait until all of them are ready."""
        try:
            self._begin(self._processes)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._processes.stop()
        self._clean()
        if self.database is not None:
            self.ground.drop_database(self.database)

    @abstractmethod
    def _begin(self, processes: Group) -> None: ...

    @abstractmethod
    def submit(self, count: int) -> Submitted:
        """Submit a batch; returns when the last one is submitted."""

    def is_done(self) -> bool:
        """Whether no job is open."""
        return not self._ask(self.open_jobs)

    def done(self) -> int:
        """How many jobs have been done since the start."""
        answer = self._ask(self.done_jobs)
        assert isinstance(answer, int)
        return answer

    def _clean(self) -> None:  # noqa: B027 - most make nothing
        """Remove what was made outside of the database."""

    def _ask(self, question: LiteralString) -> object:
        if self._connection is None:
            assert self.database is not None
            self._connection = psycopg.connect(self.ground.postgres.url_of(self.database), autocommit=True)
        row = self._connection.execute(question).fetchone()
        assert row is not None
        return row[0]

    def wal_position(self) -> int:
        """How many bytes PostgreSQL has ever written to its log."""
        with psycopg.connect(self.ground.postgres.url) as connection:
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
        assert row is not None
        return int(row[0])

    def database_size(self) -> int:
        """The bytes of the contestant's database on disk."""
        size = self._ask("SELECT pg_database_size(current_database())")
        assert isinstance(size, int)
        return size


def wait_done(contestant: Contestant, seconds: float) -> float | None:
    """When the last job was done, on the monotonic clock; None after `seconds`.

    Looked at every 20 ms, or every ten times of what a look takes, so that looking costs a tenth of a core at most.
    """
    end = time.monotonic() + seconds
    while True:
        looked = time.monotonic()
        done = contestant.is_done()
        now = time.monotonic()
        if done:
            return now
        if now > end:
            return None
        time.sleep(max(0.02, 10 * (now - looked)))
