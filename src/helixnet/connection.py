"""A connection to PostgreSQL that does not wait for ever.

TCP notices a peer that is gone, but not one that is there and says nothing: a proxy or a firewall that lost the
connection, a server that is frozen. libpq would wait for its answer as long as the process lives.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout as WaitTimeout

Answer = TypeVar("Answer")


class PatientConnection(psycopg.AsyncConnection[Any]):
    """Raises OperationalError, and is closed, when an answer takes longer than `patience_seconds`."""

    patience_seconds: float

    async def wait(
        self,
        gen: PQGen[Answer],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's word
    ) -> Answer:
        """psycopg waits here for every answer; `timeout` is of those who ask for one."""
        if timeout is not None:
            return await super().wait(gen, interval, timeout)
        try:
            return await super().wait(gen, interval, self.patience_seconds)
        except WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the database did not answer within {self.patience_seconds:g} s: the connection is given up"
            ) from None

    @contextmanager
    def less_patient(self, seconds: float) -> Iterator[None]:
        """Within the block an answer is waited for so long."""
        usual, self.patience_seconds = self.patience_seconds, seconds
        try:
            yield
        finally:
            self.patience_seconds = usual


def connector(patience_seconds: float) -> Callable[..., Awaitable[PatientConnection]]:
    """What opens such connections; it takes what psycopg's `connect` takes."""

    async def connect(*args: Any, **options: Any) -> PatientConnection:
        connection = await PatientConnection.connect(*args, **options)
        connection.patience_seconds = patience_seconds
        return connection

    return connect
