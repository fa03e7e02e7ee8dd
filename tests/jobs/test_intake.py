"""Jobs that come at the same time enter the ledger together, and each submission hears what became of its own."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from helixnet.db import Database
from helixnet.jobs.intake import MOST_CHARACTERS, MOST_JOBS, STATEMENTS, Intake
from helixnet.jobs.models import Job
from helixnet.jobs.store.commands import NewJob, submit
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio


def a_job(owner: UUID, params: str = "{}") -> NewJob:
    return NewJob(
        id=uuids.uuid7(),
        owner_id=owner,
        processor="core.echo",
        params=params,
        payload="{}",
        queue="default",
        priority=4,
        max_attempts=3,
        time_limit=timedelta(minutes=5),
    )


async def entered(ledger: Ledger) -> dict[UUID, tuple[UUID, int]]:
    """By job: its owner, and the transaction that entered it."""
    async with ledger.database.transaction() as session:
        rows = await session.execute(select(Job.id, Job.owner_id, text("CAST(CAST(jobs.xmin AS text) AS bigint)")))
        return {job_id: (owner_id, transaction) for job_id, owner_id, transaction in rows}


async def test_jobs_of_many_owners_that_come_at_once_share_few_transactions(ledger: Ledger) -> None:
    jobs = [a_job(uuids.uuid7()) for _ in range(3 * MOST_JOBS)]
    intake = Intake(ledger.database)

    await asyncio.gather(*(intake.enter(job) for job in jobs))

    found = await entered(ledger)
    assert {job_id: owner for job_id, (owner, _transaction) in found.items()} == {job.id: job.owner_id for job in jobs}
    assert len({transaction for _owner, transaction in found.values()}) <= 3 + STATEMENTS


async def test_a_job_that_comes_in_the_moment_in_which_another_is_answered_is_entered(ledger: Ledger) -> None:
    intake = Intake(ledger.database)

    async with asyncio.timeout(30):
        await intake.enter(a_job(ledger.owner))
        await intake.enter(a_job(ledger.owner))

    assert len(await entered(ledger)) == 2


async def test_a_job_that_comes_alone_is_in_the_ledger_when_it_is_answered(ledger: Ledger) -> None:
    intake = Intake(ledger.database)
    for number in range(3):
        job = a_job(ledger.owner)
        await intake.enter(job)
        assert len(await entered(ledger)) == number + 1


async def test_large_jobs_travel_in_small_groups(ledger: Ledger) -> None:
    jobs = [a_job(ledger.owner, f'{{"message": "{"x" * (MOST_CHARACTERS // 2)}"}}') for _ in range(4)]
    intake = Intake(ledger.database)

    await asyncio.gather(*(intake.enter(job) for job in jobs))

    found = await entered(ledger)
    assert len(found) == 4
    assert len({transaction for _owner, transaction in found.values()}) == 4


async def test_a_statement_that_hangs_holds_up_nobody_else(ledger: Ledger) -> None:
    intake = Intake(ledger.database)
    await intake.enter(a_job(ledger.owner))  # which makes the queue known
    held = a_job(ledger.owner)
    others = [a_job(uuids.uuid7()) for _ in range(3 * MOST_JOBS)]
    async with ledger.database.transaction() as session:
        await submit(session, [held])  # not committed: whoever enters a job with this id waits for the end
        hanging = asyncio.create_task(intake.enter(held))
        async with asyncio.timeout(20):
            while not (await session.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted"))).first():
                pass

        await asyncio.wait_for(asyncio.gather(*(intake.enter(job) for job in others)), 20)
        await asyncio.wait_for(intake.enter(a_job(uuids.uuid7())), 20)

        assert not hanging.done()
    with pytest.raises(DBAPIError):
        await hanging
    assert len(await entered(ledger)) == 3 + len(others)


async def test_what_the_database_refuses_of_one_job_costs_the_others_nothing(ledger: Ledger) -> None:
    jobs = [a_job(ledger.owner) for _ in range(20)]
    jobs[7].params = "this is no JSON"
    intake = Intake(ledger.database)

    answers = await asyncio.gather(*(intake.enter(job) for job in jobs), return_exceptions=True)

    assert [number for number, answer in enumerate(answers) if answer is not None] == [7]
    assert isinstance(answers[7], DBAPIError)
    assert set(await entered(ledger)) == {job.id for job in jobs} - {jobs[7].id}


async def test_a_submission_that_is_given_up_does_not_disturb_the_rest(ledger: Ledger) -> None:
    jobs = [a_job(ledger.owner) for _ in range(10)]
    intake = Intake(ledger.database)
    waiting = [asyncio.create_task(intake.enter(job)) for job in jobs]
    await asyncio.sleep(0)

    waiting[3].cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(answer) for answer in answers if answer is not None] == [asyncio.CancelledError]
    assert {job.id for number, job in enumerate(jobs) if number != 3} <= set(await entered(ledger))


async def test_every_submission_hears_that_the_database_is_away() -> None:
    database = Database("postgresql://nobody@127.0.0.1:9/none", 2)
    intake = Intake(database)

    answers = await asyncio.gather(*(intake.enter(a_job(uuids.uuid7())) for _ in range(5)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [OperationalError] * 5
    await database.close()
