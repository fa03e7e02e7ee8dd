"""What is spent is counted once, and many that spend at the same time stay within their owner's budget."""

import asyncio
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from helixnet.db import Database
from helixnet.errors import Invalid, OverBudget
from helixnet.usage import service, store

pytestmark = pytest.mark.anyio

OWNER, JOB = uuid4(), uuid4()


async def reserve(
    database: Database, cost: str, budget: str | None, call_id: UUID | None = None, owner_id: UUID = OWNER
) -> bool:
    async with database.connection() as connection:
        return await store.reserve(
            connection,
            call_id=call_id or uuid4(),
            owner_id=owner_id,
            job_id=JOB,
            attempt=1,
            processor="acme.ask",
            model="small",
            tokens_in=100,
            tokens_out=200,
            cost=Decimal(cost),
            default_budget=None if budget is None else Decimal(budget),
        )


async def settle(database: Database, call_id: UUID, cost: str) -> None:
    async with database.connection() as connection:
        await store.settle(
            connection, call_id=call_id, tokens_in=90, tokens_out=20, cost=Decimal(cost), seconds=1.5, estimated=False
        )


async def month(database: Database) -> tuple[int, int, int, Decimal]:
    async with database.statement() as session:
        (item,) = (await service.months(session, OWNER, "USD", None, None, 10)).items
    return item.calls, item.tokens_in, item.tokens_out, item.cost


async def test_calls_that_begin_at_the_same_time_stay_within_the_budget(database: Database) -> None:
    reserved = await asyncio.gather(*(reserve(database, "0.3", "1") for _ in range(20)))

    assert sum(reserved) == 3
    assert await month(database) == (3, 300, 600, Decimal("0.9"))


async def test_the_first_call_of_a_month_is_held_to_the_budget_too(database: Database) -> None:
    assert not await reserve(database, "1.01", "1")
    assert await reserve(database, "1", "1")


async def test_what_a_call_took_replaces_what_it_might_and_counts_once(database: Database) -> None:
    call_id = uuid4()
    await reserve(database, "0.5", "1", call_id)

    await settle(database, call_id, "0.0123456789")
    await settle(database, call_id, "0.0123456789")

    assert await month(database) == (1, 90, 20, Decimal("0.0123456789"))


async def test_a_reservation_made_again_because_its_answer_was_lost_counts_once(database: Database) -> None:
    call_id = uuid4()

    assert await reserve(database, "0.6", "1", call_id)
    assert await reserve(database, "0.6", "1", call_id)

    assert await month(database) == (1, 100, 200, Decimal("0.6"))


async def test_a_call_that_took_nothing_is_forgotten_and_a_settled_one_is_not(database: Database) -> None:
    nothing, something = uuid4(), uuid4()
    await reserve(database, "0.5", None, nothing)
    await reserve(database, "0.5", None, something)
    await settle(database, something, "0.25")

    async with database.connection() as connection:
        await store.release(connection, call_id=nothing)
        await store.release(connection, call_id=something)

    assert await month(database) == (1, 90, 20, Decimal("0.25"))


async def test_an_owner_of_whom_the_budget_is_spent_is_refused_in_words(database: Database) -> None:
    await reserve(database, "1", None)

    async with database.connection() as connection:
        await service.check_budget(connection, OWNER, Decimal("1.01"))
        await service.check_budget(connection, OWNER, None)
        await service.check_budget(connection, uuid4(), Decimal(1))
        with pytest.raises(OverBudget, match="The budget of this month is spent: 1 of 1"):
            await service.check_budget(connection, OWNER, Decimal(1))


async def test_an_owners_own_budget_goes_before_the_default(database: Database) -> None:
    async with database.transaction() as session:
        await service.set_budget(session, OWNER, "5")

    assert await reserve(database, "4", "1")
    assert not await reserve(database, "2", "100")
    assert not await reserve(database, "2", None)

    async with database.transaction() as session:
        await service.set_budget(session, OWNER, None)
    assert await reserve(database, "2", "100")


@pytest.mark.parametrize("amount", ["much", "-1", "NaN", "Infinity", "1e12"])
async def test_what_is_no_amount_is_no_budget(database: Database, amount: str) -> None:
    async with database.transaction() as session:
        with pytest.raises(Invalid):
            await service.set_budget(session, OWNER, amount)


async def test_a_job_tells_what_it_spent_by_model(database: Database) -> None:
    settled, open_call = uuid4(), uuid4()
    await reserve(database, "1", None, settled)
    await settle(database, settled, "0.75")
    await reserve(database, "1", None, open_call)

    async with database.connection() as connection:
        (small,) = await service.of_job(connection, JOB)

    assert (small.model, small.calls, small.tokens_in, small.tokens_out) == ("small", 2, 190, 220)
    assert (small.cost, small.seconds, small.estimated) == (Decimal("1.75"), 1.5, True)


async def test_the_months_of_everybody_come_in_pages(database: Database) -> None:
    for _ in range(5):
        await reserve(database, "1", None, owner_id=uuid4())

    seen, cursor = [], None
    async with database.statement() as session:
        while True:
            page = await service.months(session, None, "EUR", Decimal(7), cursor, 2)
            seen += [item.owner_id for item in page.items]
            assert all(item.budget == 7 for item in page.items)
            if (cursor := page.next_cursor) is None:
                break

    assert len(seen) == len(set(seen)) == 5


async def test_single_calls_are_forgotten_after_a_year_and_their_sums_are_kept(database: Database) -> None:
    from sqlalchemy import text

    await reserve(database, "1", None)
    async with database.transaction() as session:
        await session.execute(text("UPDATE usage SET began_at = now() - INTERVAL '401 days'"))
        assert await service.purge(session) == 1
        assert await service.purge(session) == 0

    assert (await month(database))[3] == 1
