"""Why a job waits: what holds it, how many go before it, and when it is likely to start."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from sqlalchemy import text

from helixnet.jobs import queues
from helixnet.jobs.schemas import QueueChange, Waiting
from helixnet.jobs.store import leases, reading
from helixnet.jobs.store import queues as store
from tests.jobs.conftest import LEASE, Ledger

pytestmark = pytest.mark.anyio


async def why(ledger: Ledger, job_id: UUID) -> Waiting:
    async with ledger.database.connection() as connection:
        job = await reading.look(connection, job_id, None)
        assert job is not None
        return await queues.why_waiting(connection, job, LEASE)


async def pace(ledger: Ledger, worker: UUID, seconds: float) -> None:
    async with ledger.database.transaction() as session:
        await leases.heartbeat(session, worker, {"default": seconds})


async def set_queue(ledger: Ledger, **values: object) -> None:
    async with ledger.database.transaction() as session:
        await store.change(session, "default", **values)


async def test_a_job_in_line_knows_its_place_and_its_time(ledger: Ledger) -> None:
    jobs = [await ledger.submit() for _ in range(10)]
    for _worker in range(2):
        await pace(ledger, await ledger.worker(), 0.5)

    waiting = await why(ledger, jobs[8])

    assert (waiting.reason, waiting.ahead, waiting.workers) == ("in_line", 8, 2)
    assert waiting.message == "8 jobs go before it; 2 worker processes serve the queue."
    assert waiting.estimated_start is not None
    seconds = (waiting.estimated_start - datetime.now(UTC)).total_seconds()
    assert seconds == pytest.approx(2, abs=1), "eight jobs of half a second for two"


async def test_without_a_pace_nothing_is_promised(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    await ledger.worker()

    waiting = await why(ledger, job_id)

    assert (waiting.reason, waiting.estimated_start) == ("in_line", None)


async def test_the_place_follows_the_rules_of_claims(ledger: Ledger) -> None:
    crowd, third = uuids.uuid7(), uuids.uuid7()
    for _ in range(50):
        await ledger.submit(owner_id=crowd)
    for _ in range(2):
        await ledger.submit(owner_id=third)
    for _ in range(3):
        await ledger.submit(owner_id=crowd, priority=9)
    await ledger.submit(owner_id=crowd, priority=0)
    mine = [await ledger.submit() for _ in range(4)]
    await ledger.worker()

    # Three of the higher priority, its own elders, and as many rounds of each other owner.
    assert (await why(ledger, mine[0])).ahead == 3 + 0 + 1 + 1
    assert (await why(ledger, mine[3])).ahead == 3 + 3 + 4 + 2


async def test_the_place_is_counted_only_so_far(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [await ledger.submit() for _ in range(12)]
    await pace(ledger, await ledger.worker(), 0.5)
    monkeypatch.setattr(store, "CAP", 10)
    monkeypatch.setattr(queues, "CAP", 10)

    waiting = await why(ledger, jobs[11])

    assert (waiting.ahead, waiting.ahead_is_capped, waiting.estimated_start) == (10, True, None)
    assert "at least 10 jobs" in waiting.message.lower()


async def test_what_holds_a_job_is_said(ledger: Ledger) -> None:
    later = await ledger.submit(available_at=datetime.now(UTC) + timedelta(hours=1))
    running, job_id = await ledger.submit(), await ledger.submit()
    assert (await why(ledger, job_id)).reason == "no_worker"
    worker = await ledger.worker()
    assert (await why(ledger, later)).reason == "start_time"

    assert [job.id for job in await ledger.claim(worker)] == [running]
    await set_queue(ledger, owner_running_limit=1)
    held = await why(ledger, job_id)
    assert (held.reason, held.limit, held.running) == ("owner_limit", 1, 1)

    await set_queue(ledger, running_limit=1)
    held = await why(ledger, job_id)
    assert (held.reason, held.limit, held.running) == ("queue_limit", 1, 1)

    await set_queue(ledger, paused=True)
    assert (await why(ledger, job_id)).reason == "paused"


async def test_a_worker_of_other_queues_or_without_a_heartbeat_does_not_count(ledger: Ledger) -> None:
    job_id = await ledger.submit()
    async with ledger.database.transaction() as session:
        await leases.register(session, uuids.uuid7(), "here", "host", 1, ["other"])
    silent = await ledger.worker()
    async with ledger.database.transaction() as session:
        await session.execute(
            text("UPDATE workers SET heartbeat_at = now() - INTERVAL '1 minute' WHERE id = :id"), {"id": silent}
        )

    assert (await why(ledger, job_id)).reason == "no_worker"


async def test_a_change_of_limits_leaves_out_what_is_not_named(ledger: Ledger) -> None:
    await ledger.submit()
    async with ledger.database.transaction() as session:
        await queues.limit(session, "default", LEASE, QueueChange(running_limit=5, owner_running_limit=2))
        view = await queues.limit(session, "default", LEASE, QueueChange(running_limit=None))

    assert (view.running_limit, view.owner_running_limit, view.waiting) == (None, 2, 1)


async def start_in(ledger: Ledger, job_id: UUID) -> float:
    """The seconds until the job is said to start."""
    waiting = await why(ledger, job_id)
    assert waiting.estimated_start is not None
    assert waiting.estimated_from is not None
    return (waiting.estimated_start - datetime.now(UTC)).total_seconds()


async def test_busy_workers_have_to_end_their_work_first(ledger: Ledger) -> None:
    for _ in range(2):
        await ledger.submit()
    job_id = await ledger.submit()
    workers = [await ledger.worker() for _ in range(2)]
    for worker in workers:
        await pace(ledger, worker, 60)
    assert await start_in(ledger, job_id) == pytest.approx(30, abs=2), "two of three start at once"

    for worker in workers:
        await ledger.claim(worker)

    assert (await why(ledger, job_id)).ahead == 0
    assert await start_in(ledger, job_id) == pytest.approx(30, abs=2), "one of two will be free after half a minute"


async def test_a_limit_slows_down_what_is_estimated(ledger: Ledger) -> None:
    jobs = [await ledger.submit() for _ in range(5)]
    for _ in range(4):
        await pace(ledger, await ledger.worker(), 60)
    assert await start_in(ledger, jobs[4]) == pytest.approx(15, abs=2)

    await set_queue(ledger, running_limit=1)
    assert await start_in(ledger, jobs[4]) == pytest.approx(240, abs=2), "one at a time"
    await set_queue(ledger, running_limit=None, owner_running_limit=2)
    assert await start_in(ledger, jobs[4]) == pytest.approx(90, abs=2), "two at a time"
    theirs = await ledger.submit(owner_id=uuids.uuid7())
    assert await start_in(ledger, theirs) == pytest.approx(0, abs=2), "another owner's line is not held up"

    await set_queue(ledger, running_limit=0)
    assert (await why(ledger, jobs[0])).estimated_start is None


async def test_nothing_starts_before_its_time(ledger: Ledger) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    job_id = await ledger.submit(available_at=at)
    assert (await why(ledger, job_id)).reason == "no_worker"

    await pace(ledger, await ledger.worker(), 0.5)

    waiting = await why(ledger, job_id)
    assert (waiting.reason, waiting.estimated_start) == ("start_time", at)
    await set_queue(ledger, paused=True)
    assert (await why(ledger, job_id)).estimated_start is None


async def test_more_owners_than_are_looked_at_are_no_exact_place(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await ledger.submit(owner_id=uuids.uuid7())
    job_id = await ledger.submit()
    await ledger.worker()
    assert not (await why(ledger, job_id)).ahead_is_capped

    monkeypatch.setattr(store, "MOST_OWNERS", 2)

    assert (await why(ledger, job_id)).ahead_is_capped


async def test_a_queue_knows_how_long_its_oldest_job_waits(ledger: Ledger) -> None:
    await ledger.submit(queue="empty", available_at=datetime.now(UTC) + timedelta(hours=1))
    old = await ledger.submit(priority=0, owner_id=UUID(int=2**128 - 1))
    for priority in (4, 9, 0):
        await ledger.submit(priority=priority)
    async with ledger.database.transaction() as session:
        await session.execute(
            text("UPDATE jobs SET available_at = now() - INTERVAL '100 seconds' WHERE id = :id"), {"id": old}
        )

    async with ledger.database.statement() as session:
        found = {queue.name: queue for queue in await queues.list_queues(session, LEASE)}

    assert found["default"].oldest_waiting_seconds == pytest.approx(100, abs=5)
    assert found["default"].waiting == 4
    assert (found["empty"].waiting, found["empty"].oldest_waiting_seconds) == (0, None)


async def test_counting_waiting_jobs_ends_at_a_cap(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await ledger.submit()
    monkeypatch.setattr(store, "CAP", 2)
    monkeypatch.setattr(queues, "CAP", 2)

    async with ledger.database.statement() as session:
        (queue,) = await queues.list_queues(session, LEASE)

    assert (queue.waiting, queue.waiting_is_capped) == (2, True)


async def test_a_look_at_a_waiting_job_does_not_walk_the_line(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = await ledger.submit()
    async with ledger.database.transaction() as session:
        await session.execute(
            text("""
                INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, max_attempts,
                                  time_limit, due)
                SELECT gen_random_uuid(), CAST(lpad(to_hex(n % 20), 32, '0') AS uuid), 'core.echo', '{}', '{}',
                       'default', CASE WHEN n % 100 = 0 THEN 7 ELSE 4 END, 'PENDING', 3, '5 minutes', true
                FROM generate_series(1, 20000) AS n
            """)
        )
    async with ledger.database.statement() as session:
        await session.execute(text("VACUUM ANALYZE jobs"))
    monkeypatch.setattr(store, "CAP", 300)

    async def read() -> int:
        """How many rows and entries of indexes the ledger's connection has read so far."""
        async with ledger.database.connection() as connection:
            await connection.execute(text("SELECT pg_stat_force_next_flush()"), {})
            row = (
                await connection.execute(
                    text("""
                        SELECT sum(idx_tup_read) + (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs')
                        FROM pg_stat_user_indexes
                        WHERE relname = 'jobs'
                    """),
                    {},
                )
            ).first()
        assert row is not None
        return int(row[0])

    await why(ledger, job_id)
    before = await read()
    waiting = await why(ledger, job_id)

    assert waiting.ahead == 200 + 20
    assert 220 <= await read() - before < 500
