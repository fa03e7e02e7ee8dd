"""Every transition of the ledger: what it changes, what guards it, and the event it leaves."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

import pytest
from sqlalchemy import text

from helixnet.jobs.states import TRANSITIONS, Status
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio


async def test_a_submitted_job_waits_and_has_its_first_event(ledger: Ledger) -> None:
    job_id = await ledger.submit()

    job = await ledger.job(job_id)
    assert (job.status, job.attempt, job.started_at) == ("PENDING", 0, None)
    assert await ledger.kinds(job_id) == ["PENDING"]


async def test_a_claim_begins_the_first_attempt_under_a_deadline(ledger: Ledger) -> None:
    job_id = await ledger.submit(time_limit=timedelta(seconds=90))
    worker = await ledger.worker()

    (claimed,) = await ledger.claim(worker)

    job = await ledger.job(job_id)
    assert (claimed.id, claimed.attempt) == (job_id, 1)
    assert (job.status, job.worker_id) == ("IN_PROGRESS", worker)
    assert job.started_at is not None
    assert job.deadline_at == job.started_at + timedelta(seconds=90)
    assert await ledger.kinds(job_id) == ["PENDING", "IN_PROGRESS"]


async def test_a_claim_takes_the_highest_priority_first_and_then_the_oldest(ledger: Ledger) -> None:
    low = await ledger.submit(priority=0)
    first = await ledger.submit(priority=7)
    second = await ledger.submit(priority=7)
    worker = await ledger.worker()

    order = [(await ledger.claim(worker))[0].id for _ in range(3)]

    assert order == [first, second, low]


async def test_a_claim_of_several_takes_as_many_as_there_are(ledger: Ledger) -> None:
    ids = {await ledger.submit(priority=priority) for priority in (1, 9, 4)}

    claimed = await ledger.claim(await ledger.worker(), limit=10)

    assert {job.id for job in claimed} == ids


async def test_a_claim_leaves_later_times_other_queues_and_paused_queues_alone(ledger: Ledger) -> None:
    await ledger.submit(available_at=datetime.now(UTC) + timedelta(hours=1), priority=9)
    await ledger.submit(queue="other")
    due = await ledger.submit()
    worker = await ledger.worker()

    assert [job.id for job in await ledger.claim(worker, limit=10)] == [due]
    async with ledger.database.transaction() as session:
        await session.execute(text("UPDATE queues SET paused = true WHERE name = 'other'"))
    assert await ledger.claim(worker, queue="other") == []


async def test_a_worker_without_a_row_claims_nothing(ledger: Ledger) -> None:
    await ledger.submit()
    worker = await ledger.worker()
    await ledger.leave(worker)

    assert await ledger.claim(worker) == []


async def test_many_workers_claim_each_job_exactly_once(ledger: Ledger) -> None:
    ids = [await ledger.submit() for _ in range(60)]
    workers = [await ledger.worker() for _ in range(5)]

    async def drain(worker: object) -> list[object]:
        taken: list[object] = []
        while jobs := await ledger.claim(worker, limit=3):  # type: ignore[arg-type]
            taken += [job.id for job in jobs]
        return taken

    taken = await asyncio.gather(*(drain(worker) for worker in workers))

    assert sorted(chain(*taken), key=str) == sorted(ids, key=str)


async def test_a_finished_job_keeps_its_result_and_its_end(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    await ledger.claim(await ledger.worker())

    assert await ledger.finish(job_id, 1, result_path="jobs/x/result.json", result=b'{"answer":42}')

    job = await ledger.job(job_id)
    assert (job.status, job.result_path, job.result) == ("COMPLETED", "jobs/x/result.json", {"answer": 42})
    assert job.finished_at is not None
    assert job.worker_id is None
    assert await ledger.kinds(job_id) == ["PENDING", "IN_PROGRESS", "COMPLETED"]


async def test_nothing_finishes_twice(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    await ledger.claim(await ledger.worker())

    outcomes = await asyncio.gather(
        ledger.finish(job_id, 1), ledger.finish(job_id, 1, Status.FAILED), ledger.finish(job_id, 1)
    )

    assert sorted(outcomes) == [False, False, True]
    assert len(await ledger.kinds(job_id)) == 3


async def test_an_attempt_that_was_given_up_can_record_nothing(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    zombie, successor = await ledger.worker(), await ledger.worker()
    await ledger.claim(zombie)
    await ledger.leave(zombie)
    await ledger.reap()
    (second,) = await ledger.claim(successor)

    assert second.attempt == 2
    assert not await ledger.finish(job_id, 1)
    assert await ledger.retry_later(job_id, 1) is None
    assert await ledger.hand_back(job_id, 1) is None
    assert await ledger.finish(job_id, 2)
    assert (await ledger.kinds(job_id)).count("COMPLETED") == 1


async def test_a_failed_attempt_waits_for_its_turn_until_the_attempts_are_spent(ledger: Ledger) -> None:
    job_id = await ledger.submit(max_attempts=2)
    worker = await ledger.worker()
    await ledger.claim(worker)

    assert await ledger.retry_later(job_id, 1, seconds=3600) is Status.PENDING
    assert await ledger.ripen() == []
    assert await ledger.claim(worker) == []
    async with ledger.database.transaction() as session:
        await session.execute(text("UPDATE jobs SET available_at = now()"))
    assert await ledger.ripen() == ["default"]
    await ledger.claim(worker)
    assert await ledger.retry_later(job_id, 2) is Status.FAILED, "no attempt is left"

    job = await ledger.job(job_id)
    assert (job.status, job.attempt, job.error["message"]) == ("FAILED", 2, "broken")


async def test_handed_back_work_costs_no_attempt(ledger: Ledger) -> None:
    job_id = await ledger.submit(max_attempts=1)
    worker = await ledger.worker()
    await ledger.claim(worker)

    assert await ledger.hand_back(job_id, 1)

    (again,) = await ledger.claim(worker)
    assert (again.attempt, again.max_attempts) == (2, 2)


async def test_a_waiting_job_is_cancelled_at_once(ledger: Ledger) -> None:
    job_id = await ledger.submit()

    assert await ledger.cancel(job_id) is Status.CANCELLED

    assert await ledger.claim(await ledger.worker()) == []
    assert await ledger.kinds(job_id) == ["PENDING", "CANCELLED"]
    assert await ledger.cancel(job_id) is None, "twice changes nothing"


async def test_the_worker_of_a_running_job_hears_of_its_cancellation(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    worker = await ledger.worker()
    await ledger.claim(worker)

    assert await ledger.heartbeat(worker) == []
    assert await ledger.cancel(job_id) is Status.IN_PROGRESS
    assert await ledger.heartbeat(worker) == [job_id]
    assert await ledger.retry_later(job_id, 1) is Status.CANCELLED, "a cancelled job is not tried again"
    assert await ledger.kinds(job_id) == ["PENDING", "IN_PROGRESS", "CANCEL_REQUESTED", "CANCELLED"]


async def test_the_reaper_leaves_the_living_alone(ledger: Ledger) -> None:
    await ledger.submit()
    worker = await ledger.worker()
    await ledger.claim(worker)

    assert await ledger.reap() == []
    assert await ledger.heartbeat(worker) == []


async def test_the_reaper_takes_the_jobs_of_a_silent_worker(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    worker = await ledger.worker()
    await ledger.claim(worker)
    async with ledger.database.transaction() as session:
        await session.execute(text("UPDATE workers SET heartbeat_at = now() - interval '10 seconds'"))

    (given_up,) = await ledger.reap(lease=timedelta(milliseconds=1))

    assert (given_up.id, given_up.attempt, given_up.status) == (job_id, 1, Status.PENDING)
    assert await ledger.heartbeat(worker) is None, "the worker learns that its lease is lost"
    assert (await ledger.job(job_id)).error["kind"] == "worker_lost"


async def test_the_reaper_ends_a_job_whose_attempts_are_spent(ledger: Ledger) -> None:
    job_id = await ledger.submit(max_attempts=1)
    worker = await ledger.worker()
    await ledger.claim(worker)
    await ledger.leave(worker)

    (given_up,) = await ledger.reap()

    assert given_up.status is Status.FAILED
    assert (await ledger.job(job_id)).finished_at is not None
    assert await ledger.kinds(job_id) == ["PENDING", "IN_PROGRESS", "FAILED"]


async def test_the_reaper_ends_a_lost_job_that_was_to_be_cancelled(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    worker = await ledger.worker()
    await ledger.claim(worker)
    await ledger.cancel(job_id)
    await ledger.leave(worker)

    (given_up,) = await ledger.reap()

    assert given_up.status is Status.CANCELLED


async def test_the_reaper_takes_a_job_that_is_over_its_deadline_from_a_living_worker(ledger: Ledger) -> None:
    job_id = await ledger.submit(time_limit=timedelta(milliseconds=1))
    await ledger.claim(await ledger.worker())

    (given_up,) = await ledger.reap(grace=timedelta(0))

    assert given_up.id == job_id
    assert (await ledger.job(job_id)).error["kind"] == "limit"


async def test_two_reapers_take_each_lost_job_once(ledger: Ledger) -> None:
    worker = await ledger.worker()
    for _ in range(20):
        await ledger.submit()
    await ledger.claim(worker, limit=20)
    await ledger.leave(worker)

    both = await asyncio.gather(ledger.reap(), ledger.reap())

    taken = list(chain(*both))
    assert len({job.id for job in taken}) == len(taken) == 20


async def test_a_failed_job_is_retried_by_its_user_with_fresh_attempts(ledger: Ledger) -> None:
    job_id = await ledger.submit(max_attempts=1)
    worker = await ledger.worker()
    await ledger.claim(worker)
    await ledger.finish(job_id, 1, Status.FAILED, error={"kind": "bug", "message": "broken"})

    assert await ledger.retry(job_id)

    job = await ledger.job(job_id)
    assert (job.status, job.max_attempts, job.error, job.finished_at) == ("PENDING", 4, None, None)
    (again,) = await ledger.claim(worker)
    assert again.attempt == 2


@pytest.mark.parametrize("status", [Status.PENDING, Status.IN_PROGRESS, Status.COMPLETED])
async def test_a_job_in_another_state_is_not_retried(ledger: Ledger, status: Status) -> None:
    job_id = await ledger.submit()
    if status is not Status.PENDING:
        await ledger.claim(await ledger.worker())
    if status is Status.COMPLETED:
        await ledger.finish(job_id, 1)

    assert not await ledger.retry(job_id)
    assert (await ledger.job(job_id)).status == status


async def test_events_count_from_one_without_gaps(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    worker = await ledger.worker()
    for attempt in (1, 2):
        await ledger.claim(worker)
        await ledger.retry_later(job_id, attempt)
    await ledger.claim(worker)
    await ledger.finish(job_id, 3)

    async with ledger.database.transaction() as session:
        rows = await session.execute(text("SELECT seq FROM job_events WHERE job_id = :id ORDER BY seq"), {"id": job_id})
        numbers = [row.seq for row in rows]
    assert numbers == list(range(1, 8))
    assert (await ledger.job(job_id)).events == 7


async def test_every_change_of_state_in_the_log_is_one_that_the_machine_allows(ledger: Ledger) -> None:
    worker = await ledger.worker()
    job_id = await ledger.submit()
    await ledger.claim(worker)
    await ledger.retry_later(job_id, 1)
    await ledger.claim(worker)
    await ledger.finish(job_id, 2, Status.FAILED)
    await ledger.retry(job_id)
    await ledger.cancel(job_id)

    kinds = [Status(kind) for kind in await ledger.kinds(job_id)]
    assert all(after in TRANSITIONS[before] for before, after in pairwise(kinds))
    assert kinds[-1] is Status.CANCELLED
