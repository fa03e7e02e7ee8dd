"""Beat's look at the ledger for the metrics: true where it counts, near where it estimates, and never a walk."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from helixnet.db import Database
from helixnet.jobs.states import Status
from helixnet.jobs.store import queues, survey
from helixnet.jobs.store.queues import CAP
from tests.jobs.conftest import LEASE, Ledger

pytestmark = pytest.mark.anyio

FILL = text("""
    INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, max_attempts, time_limit,
                      available_at, due)
    SELECT gen_random_uuid(), gen_random_uuid(), 'core.echo', '{}', '{}', 'default', 4, :status, 3, INTERVAL '5 min',
           now() - INTERVAL '1 min', :due
    FROM generate_series(1, :count)
""")


async def fill(database: Database, status: Status, count: int, *, due: bool = True) -> None:
    async with database.transaction() as session:
        await session.execute(FILL, {"status": status, "count": count, "due": due})


async def test_what_waits_and_runs_is_counted_and_what_has_ended_is_estimated(
    ledger: Ledger, database: Database
) -> None:
    await ledger.submit()  # makes the queue
    await fill(database, Status.COMPLETED, 20_000)
    await fill(database, Status.FAILED, 5_000)
    await fill(database, Status.PENDING, 30)
    await fill(database, Status.PENDING, 7, due=False)
    await fill(database, Status.IN_PROGRESS, 3)
    async with database.statement() as session:
        await session.execute(text("ANALYZE jobs"))
    async with database.transaction() as session:
        (standing,) = await queues.standing(session, LEASE)
        later, running, size = await survey.alive(session)
        ended = await survey.ended(session)

    assert (standing.waiting, standing.running, later, running) == (31, 3, 7, 3)
    assert standing.oldest_seconds == pytest.approx(60, abs=30)
    assert size > 1_000_000
    assert ended[Status.COMPLETED] == pytest.approx(20_000, rel=0.05)
    assert ended[Status.FAILED] == pytest.approx(5_000, rel=0.2)
    assert ended[Status.CANCELLED] == 0


async def test_a_look_reads_no_more_of_a_big_ledger_than_of_a_small_one(ledger: Ledger, database: Database) -> None:
    await ledger.submit()
    await fill(database, Status.PENDING, 200)
    small = await pages(database)
    await fill(database, Status.COMPLETED, 60_000)
    large = await pages(database)
    async with database.statement() as session:
        table = await session.scalar(text("SELECT pg_relation_size('jobs') / 8192"))

    # Whether a page of the table is looked into beside the index depends on what the last vacuum could mark.
    assert table > 1500
    assert large - small < table / 5, f"{large} pages instead of {small}; the table has {table}"


async def test_counting_ends_at_the_cap(ledger: Ledger, database: Database) -> None:
    await ledger.submit()
    await fill(database, Status.PENDING, CAP + 500)
    await fill(database, Status.PENDING, CAP + 500, due=False)
    async with database.transaction() as session:
        (standing,) = await queues.standing(session, timedelta(seconds=15))
        later, _running, _size = await survey.alive(session)

    assert (standing.waiting, later) == (CAP + 1, CAP)


async def pages(database: Database) -> int:
    """How many pages the statements of a look touch, the plans being made for a table as big as it is now."""
    async with database.statement() as session:
        await session.execute(text("VACUUM (ANALYZE) jobs"))
    values = {"cap": CAP, "owners": queues.MOST_OWNERS, "lease": LEASE, "name": None}
    touched = 0
    async with database.transaction() as session:
        for statement in (queues.STANDING, survey.ALIVE):
            explained = await session.scalar(
                text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}"),
                {name: value for name, value in values.items() if f":{name}" in statement.text},
            )
            plan = explained[0]["Plan"]
            touched += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return touched
