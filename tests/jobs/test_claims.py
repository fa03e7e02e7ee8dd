"""Who gets served: priorities, owners in turn, limits, slices, later times."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from sqlalchemy import text

from helixnet.jobs.store import claims
from helixnet.jobs.store.lines import BELIEVED_SECONDS, Lines
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio


async def fill(ledger: Ledger, owner: UUID, count: int, priority: int = 4) -> None:
    """Many waiting jobs of one owner."""
    async with ledger.database.transaction() as session:
        await session.execute(
            text("""
                INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, max_attempts,
                                  time_limit, available_at, events)
                SELECT gen_random_uuid(), :owner, 'core.echo', '{}', '{}', 'default', :priority, 'PENDING', 3,
                       INTERVAL '5 minutes', now() - INTERVAL '1 hour', 1
                FROM generate_series(1, :count)
            """),
            {"owner": owner, "count": count, "priority": priority},
        )
        await session.execute(text("INSERT INTO queues (name) VALUES ('default') ON CONFLICT DO NOTHING"))


async def limit_queue(ledger: Ledger, whole: int | None = None, owner: int | None = None) -> None:
    async with ledger.database.transaction() as session:
        await session.execute(
            text("UPDATE queues SET running_limit = :whole, owner_running_limit = :owner"),
            {"whole": whole, "owner": owner},
        )


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_an_owner_with_one_new_job_is_served_within_two_slices(ledger: Ledger, limit: int) -> None:
    crowd, newcomer = uuids.uuid7(), uuids.uuid7()
    await fill(ledger, crowd, 10_000)
    worker = await ledger.worker()
    lines = Lines()
    await ledger.claim(worker, limit=limit, lines=lines)
    job_id = await ledger.submit(owner_id=newcomer)

    served: list[UUID] = []
    for _slice in range(2):
        served += [job.id for job in await ledger.claim(worker, limit=limit, lines=lines)]

    assert job_id in served


async def test_owners_get_equal_parts_of_a_slice(ledger: Ledger) -> None:
    owners = [uuids.uuid7() for _ in range(4)]
    for count, owner in zip((5000, 300, 50, 20), owners, strict=True):
        await fill(ledger, owner, count)

    jobs = await ledger.claim(await ledger.worker(), limit=40)

    assert Counter(job.owner_id for job in jobs) == dict.fromkeys(owners, 10)


async def test_more_owners_than_a_slice_has_places_are_served_in_turn(ledger: Ledger) -> None:
    owners = [uuids.uuid7() for _ in range(9)]
    for owner in owners:
        await fill(ledger, owner, 3)
    worker = await ledger.worker()

    lines, served = Lines(), Counter[UUID]()
    for _slice in range(9):
        served.update(job.owner_id for job in await ledger.claim(worker, limit=2, lines=lines))

    assert served == dict.fromkeys(owners, 2)


async def test_a_higher_priority_goes_first_whoever_owns_it(ledger: Ledger) -> None:
    await fill(ledger, uuids.uuid7(), 50, priority=4)
    urgent = [await ledger.submit(owner_id=uuids.uuid7(), priority=9) for _ in range(3)]

    jobs = await ledger.claim(await ledger.worker(), limit=5)

    assert {job.id for job in jobs[:3]} == set(urgent)
    assert len(jobs) == 5


async def test_a_slice_holds_as_much_work_as_fits(ledger: Ledger) -> None:
    for _number in range(20):
        await ledger.submit()

    jobs = await ledger.claim(await ledger.worker(), limit=100, costs={"core.echo": 0.25})

    assert len(jobs) == 4, "a second of work"


async def test_a_job_of_unknown_length_is_the_last_of_its_slice(ledger: Ledger) -> None:
    quick = [await ledger.submit() for _ in range(3)]
    unknown = await ledger.submit(processor="core.sleep")
    await ledger.submit()

    jobs = await ledger.claim(await ledger.worker(), limit=100, costs={"core.echo": 0.01})

    assert [job.id for job in jobs] == [*quick, unknown]


async def test_a_limited_queue_runs_no_more_than_its_limit(ledger: Ledger) -> None:
    await fill(ledger, ledger.owner, 100)
    await limit_queue(ledger, whole=5)
    workers = [await ledger.worker() for _ in range(6)]

    slices = await asyncio.gather(*(ledger.claim(worker, limit=3) for worker in workers))

    jobs = [job for slice_ in slices for job in slice_]
    assert len(jobs) == 5, "however many claim at once"
    assert await ledger.claim(workers[0], limit=3) == []
    await ledger.finish(jobs[0].id, 1)
    assert len(await ledger.claim(workers[0], limit=3)) == 1


async def test_a_limit_of_owners_holds_one_owner_back_and_not_the_others(ledger: Ledger) -> None:
    crowd, other = uuids.uuid7(), uuids.uuid7()
    await fill(ledger, crowd, 100)
    await fill(ledger, other, 1)
    await limit_queue(ledger, owner=2)
    worker = await ledger.worker()

    jobs = await ledger.claim(worker, limit=10)

    assert Counter(job.owner_id for job in jobs) == {crowd: 2, other: 1}
    assert await ledger.claim(worker, limit=10) == []


async def test_both_limits_hold_together(ledger: Ledger) -> None:
    for _owner in range(4):
        await fill(ledger, uuids.uuid7(), 10)
    await limit_queue(ledger, whole=5, owner=2)

    jobs = await ledger.claim(await ledger.worker(), limit=100)

    assert len(jobs) == 5
    assert max(Counter(job.owner_id for job in jobs).values()) == 2


async def test_a_limit_of_nothing_runs_nothing(ledger: Ledger) -> None:
    await ledger.submit()
    await limit_queue(ledger, whole=0)

    assert await ledger.claim(await ledger.worker()) == []


async def test_jobs_for_later_are_not_in_line_until_their_time_has_come(ledger: Ledger) -> None:
    soon = await ledger.submit(available_at=datetime.now(UTC) + timedelta(seconds=0.3))
    await ledger.submit(available_at=datetime.now(UTC) + timedelta(hours=1))
    worker = await ledger.worker()

    assert await ledger.claim(worker, limit=10) == []
    async with asyncio.timeout(10):
        while not (ripe := await ledger.ripen()):  # noqa: ASYNC110 - the database's clock tells nobody
            await asyncio.sleep(0.02)

    assert ripe == ["default"]
    assert [job.id for job in await ledger.claim(worker, limit=10)] == [soon]


async def test_a_job_whose_worker_was_lost_runs_alone_and_took_no_attempt_from_its_slice(ledger: Ledger) -> None:
    ids = [await ledger.submit(max_attempts=1) for _ in range(3)]
    lost, successor = await ledger.worker(), await ledger.worker()
    await ledger.claim(lost, limit=3)
    await ledger.leave(lost)
    await ledger.reap()

    slices = [await ledger.claim(successor, limit=3) for _ in range(3)]

    assert [[job.id for job in slice_] for slice_ in slices] == [[job_id] for job_id in ids]
    await ledger.leave(successor)
    for job_id in ids[1:]:
        await ledger.finish(job_id, 2)
    await ledger.reap()
    assert (await ledger.job(ids[0])).status == "FAILED", "the second loss is its own"


async def test_queues_with_work_that_is_due_are_known(ledger: Ledger) -> None:
    await ledger.submit(queue="waits", priority=0)
    await ledger.submit(queue="later", available_at=datetime.now(UTC) + timedelta(hours=1))
    await ledger.submit(queue="paused")
    await ledger.submit()
    async with ledger.database.transaction() as session:
        await session.execute(text("UPDATE queues SET paused = true WHERE name = 'paused'"))
    await ledger.claim(await ledger.worker())

    async with ledger.database.transaction() as session:
        assert await claims.waiting_queues(session) == ["waits"]


async def pages(ledger: Ledger, worker: UUID, lines: Lines) -> int:
    """How many pages a claim of one job looks at."""
    async with ledger.database.transaction() as session:
        values = {"worker_id": worker, "queue": "default", "limit": 1, "seconds": 1.0, "costs": "{}"}
        plan = await session.execute(
            text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claims.CLAIM.text}"), values | lines.stretches(1)
        )
        return int(plan.scalar_one()[0]["Plan"]["Shared Hit Blocks"])


async def test_a_claim_looks_at_few_pages_however_many_wait(ledger: Ledger) -> None:
    for priority in (9, 4, 0):
        await fill(ledger, uuids.uuid7(), 20_000, priority)
    async with ledger.database.transaction() as session:
        await session.execute(text("ANALYZE jobs"))

    assert await pages(ledger, await ledger.worker(), Lines()) < 150


async def test_a_claim_looks_at_few_pages_however_many_have_gone(ledger: Ledger) -> None:
    await fill(ledger, uuids.uuid7(), 30_000)
    worker, lines = await ledger.worker(), Lines(clock=lambda: 0)
    async with ledger.database.transaction() as session:
        await session.execute(text("ANALYZE jobs"))
    for _slice in range(25):
        assert len(await ledger.claim(worker, limit=1000, lines=lines)) == 1000

    assert await pages(ledger, worker, lines) < 150


async def test_a_job_that_comes_back_is_found_when_nothing_else_waits(ledger: Ledger) -> None:
    first, second = [await ledger.submit() for _ in range(2)]
    worker, lines = await ledger.worker(), Lines(clock=lambda: 0)
    assert [job.id for job in await ledger.claim(worker, limit=2, lines=lines)] == [first, second]
    await ledger.hand_back(first, 1)

    assert [job.id for job in await ledger.claim(worker, lines=lines)] == [first]


async def test_a_job_that_comes_back_to_a_busy_line_waits_a_second_at_most(ledger: Ledger) -> None:
    ids = [await ledger.submit() for _ in range(4)]
    now = 100.0
    worker, lines = await ledger.worker(), Lines(clock=lambda: now)
    await ledger.claim(worker, limit=2, lines=lines)
    await ledger.hand_back(ids[0], 1)

    assert [job.id for job in await ledger.claim(worker, lines=lines)] == [ids[2]]
    now += BELIEVED_SECONDS + 0.01
    assert [job.id for job in await ledger.claim(worker, lines=lines)] == [ids[0]]
