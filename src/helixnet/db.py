"""The database: one declarative base, one engine for each process, and the only commit."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import orjson
import psycopg
from sqlalchemy import MetaData, event, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from helixnet.connection import connector
from helixnet.metrics import catalog
from helixnet.statements import BELIEVED_SECONDS, PROBE_SECONDS, Plain, Statements, has_news

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
STATEMENT_SECONDS = 30
# No statement takes longer, so after this time nobody is there.
PATIENCE_SECONDS = STATEMENT_SECONDS + 5
# Every statement of a worker is a look into an index, and is planned once, as for a big table: a plan that was made
# while the table was small would walk it for as long as the connection lives.
PLAN_FOR_LOOKUPS = (
    " -c plan_cache_mode=force_generic_plan -c jit=off"
    " -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    " -c enable_incremental_sort=off"
)


# What plain SQL runs on.
Executor = AsyncSession | Plain


class Base(DeclarativeBase):
    """The tables of every domain; constraints are named by rule, so migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
        }
    )


class Database:
    """A pool of connections to PostgreSQL that belongs to one process and one event loop.

    `url` is a libpq address (`postgresql://…`). Never share an instance across a fork. With `lookups` it is for
    statements that are repeated often and find their rows by an index; whoever uses it tries again when a connection
    turns out to be dead, where others are asked for a sign of life first. A connection that doesn't answer for
    `patience_seconds` is given up with an OperationalError.
    """

    def __init__(
        self,
        url: str,
        pool_size: int,
        application: str = "helixnet",
        *,
        lookups: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": application,
            # A peer that vanished without a word is noticed within about 15 s, not after two hours.
            "keepalives_idle": 5,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "tcp_user_timeout": 15_000,
            "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_SECONDS}s"
            " -c idle_in_transaction_session_timeout=60s",
        }
        planned = options | {"options": options["options"] + PLAN_FOR_LOOKUPS}
        connect = connector(patience_seconds)
        open_plain = partial(connect, _plain_address(url), autocommit=True, prepare_threshold=0, **planned)
        self._plain = Statements(open_plain, pool_size, POOL_TIMEOUT_SECONDS)
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            json_serializer=dump_json,
            json_deserializer=orjson.loads,
            connect_args=(planned if lookups else options)
            | {"prepare_threshold": 0 if lookups else 5, "async_creator_fn": connect},
        )
        self._size = pool_size
        event.listen(self._engine.sync_engine, "before_cursor_execute", _begin_statement)
        event.listen(self._engine.sync_engine, "after_cursor_execute", _end_statement)
        if not lookups:
            event.listen(self._engine.sync_engine, "checkin", _note_rest)
            event.listen(self._engine.sync_engine, "checkout", _wake)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False, autoflush=False)
        alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions_alone = async_sessionmaker(alone, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with _counting_timeouts():
            async with self._sessions() as session, session.begin():
                yield session

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncSession]:
        """For one statement, which is a transaction by itself: it goes to the database and back once, not three times.

        Of several statements in the block each is committed alone, which suits reading only.
        """
        with _counting_timeouts():
            async with self._sessions_alone() as session:
                yield session

    def connection(self) -> AbstractAsyncContextManager[Plain]:
        """As `statement`, for plain SQL that is executed thousands of times a second."""
        return self._plain.connection()

    def measure(self) -> None:
        """Note how many connections are in use, of how many, of this process's only pools of this kind."""
        orm = self._engine.sync_engine.pool
        for pool, in_use in (
            ("orm", orm.checkedout() if isinstance(orm, QueuePool) else 0),
            ("plain", self._plain.in_use),
        ):
            catalog.CONNECTIONS.set(in_use, pool)
            catalog.CONNECTIONS_LIMIT.set(self._size, pool)

    async def close(self) -> None:
        await self._plain.close()
        await self._engine.dispose()


def _plain_address(url: str) -> str:
    """The address as libpq takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def _counting_timeouts() -> Iterator[None]:
    try:
        yield
    except PoolTimeout:
        catalog.POOL_TIMEOUTS.add(1)
        raise


def _begin_statement(
    _connection: object, _cursor: object, _sql: str, _values: object, context: Any, _many: bool
) -> None:
    context.helix_begun = time.perf_counter()


def _end_statement(_connection: object, _cursor: object, _sql: str, _values: object, context: Any, _many: bool) -> None:
    catalog.STATEMENT_SECONDS.observe(time.perf_counter() - context.helix_begun, "orm")


def _note_rest(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["resting_since"] = time.monotonic()


def _wake(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Ask a connection that has rested for a sign of life; one that was used a moment ago is believed to be alive."""
    rested_seconds = time.monotonic() - record.info.get("resting_since", time.monotonic())
    if rested_seconds < BELIEVED_SECONDS and not has_news(connection.driver_connection):
        return
    try:
        with connection.driver_connection.less_patient(PROBE_SECONDS):
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.close()
            connection.rollback()
    except psycopg.Error as error:
        raise InvalidatePoolError(str(error)) from error


def dump_json(value: object) -> str:
    """JSON text for a `json` column or an explicit cast; raises TypeError for what is not JSON."""
    return orjson.dumps(value).decode()
