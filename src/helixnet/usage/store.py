"""The SQL of usage. A call is counted into its owner's month in the same statement that writes it."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Executor
from helixnet.usage.models import Budget, Usage, UsageMonth

# Only the database's clock says which month it is.
THIS_MONTH = "CAST(date_trunc('month', now() AT TIME ZONE 'UTC') AS date)"
BUDGET = "COALESCE((SELECT amount FROM budgets WHERE owner_id = :owner_id), CAST(:default_budget AS numeric))"

# Of calls that begin at the same time each waits for the sum that the one before has left: together they stay within
# the budget. What is already known is a statement of which the answer was lost.
RESERVE = text(f"""
    WITH known AS (
        SELECT id FROM usage WHERE id = :id
    ),
    counted AS (
        INSERT INTO usage_months (owner_id, month, calls, tokens_in, tokens_out, cost)
        SELECT :owner_id, {THIS_MONTH}, 1, CAST(:tokens_in AS bigint), CAST(:tokens_out AS bigint),
               CAST(:cost AS numeric)
        WHERE NOT EXISTS (SELECT 1 FROM known)
          AND ({BUDGET} IS NULL OR {BUDGET} >= CAST(:cost AS numeric))
        ON CONFLICT (owner_id, month) DO UPDATE
        SET calls = usage_months.calls + 1,
            tokens_in = usage_months.tokens_in + EXCLUDED.tokens_in,
            tokens_out = usage_months.tokens_out + EXCLUDED.tokens_out,
            cost = usage_months.cost + EXCLUDED.cost
        WHERE {BUDGET} IS NULL OR usage_months.cost + EXCLUDED.cost <= {BUDGET}
        RETURNING month
    ),
    written AS (
        INSERT INTO usage (id, owner_id, job_id, attempt, processor, model, month, tokens_in, tokens_out, cost)
        SELECT :id, :owner_id, :job_id, :attempt, :processor, :model, month, :tokens_in, :tokens_out, :cost
        FROM counted
        RETURNING id
    )
    SELECT id FROM written UNION ALL SELECT id FROM known
""")  # noqa: S608 - put together from constants of this file alone

# Settled once: a second time finds nothing to change.
SETTLE = text("""
    WITH settled AS (
        UPDATE usage
        SET tokens_in = :tokens_in,
            tokens_out = :tokens_out,
            cost = :cost,
            seconds = :seconds,
            estimated = :estimated,
            settled = true
        FROM usage AS before
        WHERE usage.id = :id AND before.id = usage.id AND NOT usage.settled
        RETURNING usage.owner_id, usage.month, usage.tokens_in - before.tokens_in AS tokens_in,
                  usage.tokens_out - before.tokens_out AS tokens_out, usage.cost - before.cost AS cost
    )
    UPDATE usage_months
    SET tokens_in = usage_months.tokens_in + settled.tokens_in,
        tokens_out = usage_months.tokens_out + settled.tokens_out,
        cost = usage_months.cost + settled.cost
    FROM settled
    WHERE usage_months.owner_id = settled.owner_id AND usage_months.month = settled.month
""")

RELEASE = text("""
    WITH released AS (
        DELETE FROM usage WHERE id = :id AND NOT settled
        RETURNING owner_id, month, tokens_in, tokens_out, cost
    )
    UPDATE usage_months
    SET calls = calls - 1,
        tokens_in = usage_months.tokens_in - released.tokens_in,
        tokens_out = usage_months.tokens_out - released.tokens_out,
        cost = usage_months.cost - released.cost
    FROM released
    WHERE usage_months.owner_id = released.owner_id AND usage_months.month = released.month
""")

STANDING = text(f"""
    SELECT COALESCE((SELECT cost FROM usage_months WHERE owner_id = :owner_id AND month = {THIS_MONTH}), 0) AS spent,
           {BUDGET} AS budget
""")  # noqa: S608 - as above

OF_JOB = text("""
    SELECT model, count(*), CAST(sum(tokens_in) AS bigint), CAST(sum(tokens_out) AS bigint), sum(cost),
           sum(COALESCE(seconds, 0)), bool_or(estimated)
    FROM usage
    WHERE job_id = :job_id
    GROUP BY model
    ORDER BY model
""")


async def reserve(
    session: Executor,
    *,
    call_id: UUID,
    owner_id: UUID,
    job_id: UUID,
    attempt: int,
    processor: str,
    model: str,
    tokens_in: int,
    tokens_out: int,
    cost: Decimal,
    default_budget: Decimal | None,
) -> bool:
    """Count a call that is about to be made with what it may take; False when that is over the owner's budget."""
    found = await session.execute(
        RESERVE,
        {
            "id": call_id,
            "owner_id": owner_id,
            "job_id": job_id,
            "attempt": attempt,
            "processor": processor,
            "model": model,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "cost": cost,
            "default_budget": default_budget,
        },
    )
    return found.first() is not None


async def settle(
    session: Executor,
    *,
    call_id: UUID,
    tokens_in: int,
    tokens_out: int,
    cost: Decimal,
    seconds: float,
    estimated: bool,
) -> None:
    """Put what a call took in the place of what it might."""
    values = {"tokens_in": tokens_in, "tokens_out": tokens_out, "cost": cost, "seconds": seconds}
    await session.execute(SETTLE, values | {"id": call_id, "estimated": estimated})


async def release(session: Executor, *, call_id: UUID) -> None:
    """Forget a call that took nothing."""
    await session.execute(RELEASE, {"id": call_id})


async def standing(session: Executor, owner_id: UUID, default_budget: Decimal | None) -> tuple[Decimal, Decimal | None]:
    """What the owner has spent this month, and may spend; None for a budget means no bound."""
    row = (await session.execute(STANDING, {"owner_id": owner_id, "default_budget": default_budget})).first()
    assert row is not None  # noqa: S101 - it is one row by its form
    return row[0], row[1]


async def of_job(session: Executor, job_id: UUID) -> Sequence[Sequence[object]]:
    """A row for each model that a job called: model, calls, tokens in and out, cost, seconds, estimated."""
    return (await session.execute(OF_JOB, {"job_id": job_id})).all()


async def months(
    session: AsyncSession, owner_id: UUID | None, before: tuple[date, UUID] | None, limit: int
) -> Sequence[tuple[UsageMonth, Decimal | None]]:
    """Months with the budget that is set for their owner, the newest first; of all owners with None."""
    statement = (
        select(UsageMonth, Budget.amount)
        .outerjoin(Budget, Budget.owner_id == UsageMonth.owner_id)
        .order_by(UsageMonth.month.desc(), UsageMonth.owner_id)
        .limit(limit)
    )
    if owner_id is not None:
        statement = statement.where(UsageMonth.owner_id == owner_id)
    if before is not None:
        month, owner = before
        past = (UsageMonth.month == month) & (UsageMonth.owner_id > owner)
        statement = statement.where((UsageMonth.month < month) | past)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def set_budget(session: AsyncSession, owner_id: UUID, amount: Decimal | None) -> None:
    """Give an owner a budget of their own; None gives back the default."""
    if amount is None:
        await session.execute(delete(Budget).where(Budget.owner_id == owner_id))
        return
    statement = insert(Budget).values(owner_id=owner_id, amount=amount)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Budget.owner_id], set_={"amount": statement.excluded.amount, "set_at": func.now()}
        )
    )


async def delete_old(session: AsyncSession, age: timedelta, limit: int) -> int:
    """Forget single calls that are older than `age`; the sums stay. Answers how many."""
    old = select(Usage.id).where(Usage.began_at < func.now() - age).order_by(Usage.began_at).limit(limit)
    done = await session.execute(delete(Usage).where(Usage.id.in_(old)).returning(Usage.id))
    return len(done.all())
