"""Plain statements: what becomes of their connections."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from helixnet.db import Database

pytestmark = pytest.mark.anyio

PID = text("SELECT pg_backend_pid()")
SLEEP = text("SELECT pg_sleep(60)")
BROKEN = text("SELECT 1 / 0")


async def backend(database: Database) -> int:
    async with database.connection() as connection:
        row = (await connection.execute(PID, {})).first()
    assert row is not None
    return int(row[0])


async def test_a_connection_outlives_an_error_of_its_block(database: Database) -> None:
    before = await backend(database)

    with pytest.raises(LookupError):
        async with database.connection():
            raise LookupError
    with pytest.raises(DBAPIError):
        async with database.connection() as connection:
            await connection.execute(BROKEN, {})

    assert await backend(database) == before


async def test_a_statement_that_was_given_up_leaves_no_connection_that_is_still_at_it(database: Database) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), database.connection() as connection:
            await connection.execute(SLEEP, {})

    async with asyncio.timeout(10):
        assert await backend(database) > 0


async def test_a_connection_that_the_server_ended_is_replaced(database: Database, database_url: str) -> None:
    before = await backend(database)
    async with database.transaction() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before})

    assert await backend(database) != before
