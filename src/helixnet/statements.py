"""Plain statements: SQL that is executed thousands of times a second, straight to psycopg.

The ORM's way to a connection and back costs several times what such a statement itself does (measured: 0.7 ms of CPU
against 0.13 ms for `SELECT 1`). Here a statement is prepared once for each connection, is a transaction by itself, and
goes to the database and back once. Errors are SQLAlchemy's, so that callers meet one kind.
"""

import asyncio
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from helixnet.connection import PatientConnection
from helixnet.metrics import catalog

# A connection that was used a moment ago is believed to be alive; one that has rested is asked first.
BELIEVED_SECONDS = 1.0
# So long that one has to show a sign of life.
PROBE_SECONDS = 2.0

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_COMPILED: dict[str, bytes] = {}


class Rows:
    """The answer of a statement."""

    __slots__ = ("_rows",)

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def all(self) -> list[tuple[Any, ...]]:
        return self._rows

    def first(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None


class Plain:
    """A connection, for as long as its block lasts; it takes SQLAlchemy's `text`, and each is committed at once."""

    __slots__ = ("_connection",)

    def __init__(self, connection: PatientConnection) -> None:
        self._connection = connection

    async def execute(self, statement: TextClause, values: Mapping[str, Any]) -> Rows:
        """The statement's rows, if it has any; raises SQLAlchemy's DBAPIError."""
        sql = _COMPILED.get(statement.text)
        if sql is None:
            sql = _COMPILED[statement.text] = str(statement.compile(dialect=_DIALECT)).encode()
        begun = time.perf_counter()
        try:
            cursor = await self._connection.execute(sql, values)
            return Rows(await cursor.fetchall() if cursor.description is not None else [])
        except psycopg.Error as error:
            raise _as_sqlalchemy(error) from error
        finally:
            catalog.STATEMENT_SECONDS.observe(time.perf_counter() - begun, "plain")


class Statements:
    """Connections for plain statements, at most `size` of them, the one used last first. Belongs to one event loop.

    `connect` opens one, in autocommit.
    """

    def __init__(self, connect: Callable[[], Awaitable[PatientConnection]], size: int, timeout_seconds: float) -> None:
        self._connect = connect
        self._timeout = timeout_seconds
        self._places = asyncio.Semaphore(size)
        self.in_use = 0
        catalog.POOL_TIMEOUTS.add(0)
        self._idle: list[tuple[float, PatientConnection]] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Plain]:
        """A connection; raises SQLAlchemy's OperationalError when none is to be had, TimeoutError when all are busy."""
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:
            catalog.POOL_TIMEOUTS.add(1)
            raise PoolTimeout(f"all database connections were busy for {self._timeout:g} s") from None
        catalog.POOL_WAIT_SECONDS.observe(time.perf_counter() - begun)
        self.in_use += 1
        try:
            connection = await self._open()
            try:
                yield Plain(connection)
            finally:
                # An error of the block is none of the connection's, unless it is in the middle of something.
                if connection.info.transaction_status is TransactionStatus.IDLE:
                    self._idle.append((time.monotonic(), connection))
                else:
                    await connection.close()
        finally:
            self.in_use -= 1
            self._places.release()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop()[1].close()

    async def _open(self) -> PatientConnection:
        while self._idle:
            used_at, connection = self._idle.pop()
            if await _is_alive(connection, time.monotonic() - used_at):
                return connection
            # What ended this one has ended those that rest below it too, or is about to.
            await connection.close()
            await self.close()
        try:
            connection = await self._connect()
        except psycopg.Error as error:
            raise _as_sqlalchemy(error) from error
        set_json_loads(orjson.loads, connection)
        return connection


def has_news(connection: PatientConnection) -> bool:
    """Whether the server said something unasked: of a connection at rest that is its end, more often than not."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _is_alive(connection: PatientConnection, rested_seconds: float) -> bool:
    if connection.closed:
        return False
    if rested_seconds < BELIEVED_SECONDS and not has_news(connection):
        return True
    try:
        with connection.less_patient(PROBE_SECONDS):
            await connection.execute("SELECT 1", prepare=False)
    except psycopg.Error:
        return False
    return True


def _as_sqlalchemy(error: psycopg.Error) -> BaseException:
    """The error as SQLAlchemy would raise it, without the statement and its parameters."""
    return DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, dialect=_DIALECT)
