"""What an attempt spends, in the ledger: set aside before a call, written down after it, whatever the job comes to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import stamina
import uuid_utils.compat as uuids
from sqlalchemy.exc import DataError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from helixnet import log
from helixnet.db import Database
from helixnet.errors import OverBudget
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.processors.base import OverLimit
from helixnet.processors.metering import Spending
from helixnet.statements import Plain
from helixnet.usage import answers, store
from helixnet.usage import service as usage
from helixnet.usage.schemas import plain
from helixnet.worker.inputs import LedgerAway

WRITING_SECONDS = 30
AWAY = (OperationalError, InterfaceError, PoolTimeout, OSError)

logger = log.logger("helix.worker")


class Write(Protocol):
    """A statement that may be made again."""

    async def __call__(self, session: Plain) -> None: ...


class CountedCall:
    """A call under way."""

    def __init__(self) -> None:
        self.spent: Spending | None = None

    def settle(self, spent: Spending) -> None:
        self.spent = spent


class LedgerMeter:
    """The `Meter` of one attempt; `budget` is that of owners who have none of their own."""

    def __init__(self, job: ClaimedJob, database: Database, budget: Decimal | None) -> None:
        self._job = job
        self._database = database
        self._budget = budget

    async def check(self) -> None:
        """Raise OverLimit when nothing is left of the owner's budget, and LedgerAway."""
        try:
            async with self._database.connection() as connection:
                await usage.check_budget(connection, self._job.owner_id, self._budget)
        except OverBudget as error:
            raise OverLimit(error.message, **error.fields) from None
        except AWAY as error:
            raise LedgerAway from error

    @asynccontextmanager
    async def call(self, most: Spending) -> AsyncIterator[CountedCall]:
        """See `Meter`. Raises LedgerAway as well."""
        call_id = uuids.uuid7()
        await self._reserve(call_id, most)
        call = CountedCall()
        try:
            yield call
        finally:
            # Told to stop meanwhile or not: the money is spent.
            await asyncio.shield(self._write(call_id, call.spent))

    async def _reserve(self, call_id: UUID, most: Spending) -> None:
        job = self._job
        try:
            async with self._database.connection() as connection:
                reserved = await store.reserve(
                    connection,
                    call_id=call_id,
                    owner_id=job.owner_id,
                    job_id=job.id,
                    attempt=job.attempt,
                    processor=job.processor,
                    model=most.model,
                    tokens_in=most.tokens_in,
                    tokens_out=most.tokens_out,
                    cost=most.cost,
                    default_budget=self._budget,
                )
                if reserved:
                    return
                spent, budget = await store.standing(connection, job.owner_id, self._budget)
        except AWAY as error:
            raise LedgerAway from error
        raise _no_room(spent, budget if budget is not None else Decimal(0), most)

    async def _write(self, call_id: UUID, spent: Spending | None) -> None:
        """Settle or release; a database that is away is waited for. What can't be written stays as it was set aside."""
        if spent is None:
            write: Write = partial(store.release, call_id=call_id)
        else:
            write = partial(
                store.settle,
                call_id=call_id,
                tokens_in=spent.tokens_in,
                tokens_out=spent.tokens_out,
                cost=spent.cost,
                seconds=spent.seconds,
                estimated=spent.estimated,
            )
        try:
            async for trial in stamina.retry_context(on=AWAY, attempts=None, timeout=WRITING_SECONDS, wait_max=5):
                with trial:
                    async with self._database.connection() as connection:
                        await write(connection)
        except (SQLAlchemyError, OSError) as error:
            logger.error(  # noqa: TRY400 - the database was away, and the trace says no more
                "what a call has taken could not be recorded: it counts by its estimate",
                call_id=str(call_id),
                spent=spent,
                error=log.first_line(error),
            )


class OwnersAnswers:
    """The `Answers` of a job's owner. While the database is away nothing is remembered, and nothing fails by it."""

    def __init__(self, owner_id: UUID, database: Database) -> None:
        self._owner_id = owner_id
        self._database = database

    async def recall(self, key: str) -> Any | None:
        try:
            async with self._database.connection() as connection:
                return await answers.recall(connection, self._owner_id, key)
        except AWAY as error:
            logger.warning("no answer was recalled: the database did not answer", error=log.first_line(error))
            return None

    async def keep(self, key: str, answer: Any, lifetime: timedelta) -> None:
        try:
            async with self._database.connection() as connection:
                await answers.keep(connection, self._owner_id, key, answer, lifetime)
        except (*AWAY, DataError) as error:
            logger.warning("an answer was not kept", error=log.first_line(error))


def _no_room(spent: Decimal, budget: Decimal, most: Spending) -> OverLimit:
    """The refusal of a call."""
    over = usage.over_budget(spent, budget)
    if spent >= budget:
        return OverLimit(over.message, **over.fields)
    return OverLimit(
        f"Of this month's budget of {plain(budget)} there is {plain(round(budget - spent, 6))} left, and the next call"
        f" may cost {plain(round(most.cost, 6))}. Ask for less output, or ask an administrator for more.",
        **over.fields,
    )
