"""The rules of usage: who may spend how much in a month, and what was spent."""

from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Executor
from helixnet.errors import Invalid, OverBudget
from helixnet.usage import answers, store
from helixnet.usage.schemas import ModelUsage, UsageMonth, UsagePage, plain

# Of single calls so much is kept: a year to compare with, and a month. The sums of months stay.
KEPT = timedelta(days=400)
PURGE_BATCH = 1000
HIGHEST_BUDGET = Decimal(10) ** 9


async def check_budget(session: Executor, owner_id: UUID, default: Decimal | None) -> None:
    """Raise OverBudget when the owner has spent this month's budget; `default` is that of owners without their own."""
    spent, budget = await store.standing(session, owner_id, default)
    if budget is not None and spent >= budget:
        raise over_budget(spent, budget)


async def standing(session: Executor, owner_id: UUID, default: Decimal | None) -> tuple[Decimal, Decimal | None]:
    """What the owner has spent this month, and may spend; None for no bound."""
    return await store.standing(session, owner_id, default)


def over_budget(spent: Decimal, budget: Decimal) -> OverBudget:
    """The refusal of further work, in words for the owner."""
    return OverBudget(
        f"The budget of this month is spent: {plain(round(spent, 6))} of {plain(budget)}."
        " It begins anew on the first of the next month (UTC); an administrator can raise it.",
        spent=plain(spent),
        budget=plain(budget),
    )


async def of_job(session: Executor, job_id: UUID) -> list[ModelUsage]:
    """What a job has spent, by model."""
    names = ("model", "calls", "tokens_in", "tokens_out", "cost", "seconds", "estimated")
    return [
        ModelUsage.model_validate(dict(zip(names, row, strict=True))) for row in await store.of_job(session, job_id)
    ]


async def months(
    session: AsyncSession, owner_id: UUID | None, currency: str, default: Decimal | None, cursor: str | None, limit: int
) -> UsagePage:
    """A page of months, the newest first: of one owner, or of everybody with None. Raises Invalid for a bad cursor."""
    rows = await store.months(session, owner_id, _parse_cursor(cursor), limit + 1)
    items = [
        UsageMonth(
            owner_id=month.owner_id,
            month=month.month,
            calls=month.calls,
            tokens_in=month.tokens_in,
            tokens_out=month.tokens_out,
            cost=month.cost,
            budget=own if own is not None else default,
        )
        for month, own in rows[:limit]
    ]
    following = f"{items[-1].month}/{items[-1].owner_id}" if len(rows) > limit else None
    return UsagePage(currency=currency, items=items, next_cursor=following)


async def set_budget(session: AsyncSession, owner_id: UUID, amount: str | None) -> Decimal | None:
    """Give an owner a budget of their own; None gives back the default. Raises Invalid for what is no amount."""
    try:
        budget = None if amount is None else Decimal(amount)
    except InvalidOperation:
        raise Invalid(f"{amount!r} is not an amount: give digits, such as 20 or 7.50.") from None
    if budget is not None and not (budget.is_finite() and 0 <= budget <= HIGHEST_BUDGET):
        raise Invalid(f"A budget is between 0 and {HIGHEST_BUDGET:,.0f}.")
    await store.set_budget(session, owner_id, budget)
    return budget


async def purge(session: AsyncSession) -> int:
    """Forget some of the single calls that are too old, and of the answers that have expired; answers how many."""
    return await store.delete_old(session, KEPT, PURGE_BATCH) + await answers.delete_expired(session, PURGE_BATCH)


def _parse_cursor(cursor: str | None) -> tuple[date, UUID] | None:
    if cursor is None:
        return None
    month, _, owner = cursor.partition("/")
    try:
        return date.fromisoformat(month), UUID(owner)
    except ValueError:
        raise Invalid("The cursor is not one that a page of usage gave.") from None
