"""Jobs by a filter: which are found, how far one look goes, and jobs that run anew."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from pydantic import ValidationError
from sqlalchemy import text

from helixnet.artifacts import service as artifacts
from helixnet.artifacts.service import NewArtifact
from helixnet.errors import Invalid, NotFound
from helixnet.jobs import selections
from helixnet.jobs.schemas import JobSelection
from helixnet.jobs.service import Reader
from helixnet.jobs.states import Status
from helixnet.jobs.store import reading
from helixnet.jobs.store import selections as store
from helixnet.processors import registry
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio

PROCESSORS = registry.load(development=True)


class Commander:
    """A user who gives commands for many jobs."""

    def __init__(self, ledger: Ledger, *, everyone: bool = False) -> None:
        self.ledger = ledger
        self.reader = Reader(ledger.owner, everyone)

    async def cancel(self, **selection: Any) -> tuple[int, UUID | None]:
        async with self.ledger.database.transaction() as session:
            answer = (await selections.cancel(session, self.reader, JobSelection(**selection))).answer
        assert answer.more == (answer.next_cursor is not None)
        return answer.count, answer.next_cursor

    async def retry(self, **selection: Any) -> tuple[int, UUID | None]:
        async with self.ledger.database.transaction() as session:
            answer = (await selections.retry(session, PROCESSORS, self.reader, JobSelection(**selection))).answer
        return answer.count, answer.next_cursor

    async def replay(self, **selection: Any) -> tuple[int, UUID | None]:
        async with self.ledger.database.transaction() as session:
            answer = (await selections.replay(session, PROCESSORS, self.reader, JobSelection(**selection))).answer
        return answer.count, answer.next_cursor

    async def replay_one(self, job_id: UUID) -> UUID:
        async with self.ledger.database.transaction() as session:
            return (await selections.replay_one(session, PROCESSORS, self.reader, job_id)).answer.job_id


@pytest.fixture
def user(ledger: Ledger) -> Commander:
    return Commander(ledger)


async def ended(ledger: Ledger, status: Status, fingerprint: str | None = None, **job: Any) -> UUID:
    """A job that an attempt has brought to this end."""
    job_id = await ledger.submit(**job)
    worker = await ledger.worker()
    (claimed,) = await ledger.claim(worker, queue=job.get("queue", "default"))
    assert claimed.id == job_id
    error = {"kind": "bug", "message": "broken"} if status is Status.FAILED else None
    assert await ledger.finish(job_id, claimed.attempt, status, error=error, fingerprint=fingerprint)
    return job_id


async def status_of(ledger: Ledger, *jobs: UUID) -> list[str]:
    return [(await ledger.job(job_id)).status for job_id in jobs]


async def shift(ledger: Ledger, job_id: UUID, to: datetime) -> UUID:
    """Make it a job of another time: its id as well says when it was submitted."""
    new_id = UUID(int=(int(to.timestamp() * 1000) << 80) | (job_id.int & (2**80 - 1)))
    async with ledger.database.transaction() as session:
        values = {"id": job_id, "new_id": new_id, "at": to}
        await session.execute(text("UPDATE jobs SET id = :new_id, created_at = :at WHERE id = :id"), values)
        await session.execute(text("UPDATE job_events SET job_id = :new_id WHERE job_id = :id"), values)
    return new_id


async def test_every_condition_has_to_hold(ledger: Ledger, user: Commander) -> None:
    wanted = await ledger.submit(processor="core.sleep", queue="slow")
    others = [
        await ledger.submit(processor="core.sleep"),
        await ledger.submit(queue="slow"),
        await ledger.submit(processor="core.sleep", queue="slow", owner_id=uuids.uuid7()),
    ]

    assert await user.cancel(processor="core.sleep", queue="slow", status="PENDING") == (1, None)

    assert await status_of(ledger, wanted, *others) == ["CANCELLED", "PENDING", "PENDING", "PENDING"]
    assert (await ledger.kinds(wanted))[-1] == "CANCELLED"


async def test_times_bound_what_is_meant(ledger: Ledger, user: Commander) -> None:
    now = datetime.now(UTC)
    old = await shift(ledger, await ledger.submit(), now - timedelta(days=3))
    middle = await shift(ledger, await ledger.submit(), now - timedelta(days=2))
    new = await ledger.submit()

    assert await user.cancel(created_after=now - timedelta(days=2.5), created_before=now - timedelta(days=1)) == (
        1,
        None,
    )

    assert await status_of(ledger, old, middle, new) == ["PENDING", "CANCELLED", "PENDING"]


async def test_the_far_past_and_future_bound_nothing(ledger: Ledger, user: Commander) -> None:
    await ledger.submit()
    past, future = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

    assert await user.cancel(created_after=future, created_before=past) == (0, None)
    assert await user.cancel(created_after=past, created_before=future) == (1, None)


async def test_a_running_job_is_asked_to_stop_and_a_waiting_one_is_cancelled(ledger: Ledger, user: Commander) -> None:
    running, waiting = await ledger.submit(), await ledger.submit()
    await ledger.claim(await ledger.worker())

    assert (await user.cancel(queue="default"))[0] == 2

    assert await status_of(ledger, running, waiting) == ["IN_PROGRESS", "CANCELLED"]
    assert (await ledger.job(running)).cancel_requested_at is not None
    assert (await user.cancel(queue="default"))[0] == 0, "twice is as good as once"


async def test_a_kind_of_failure_is_retried_as_a_whole(ledger: Ledger, user: Commander) -> None:
    alike = [await ended(ledger, Status.FAILED, "aaaa") for _ in range(3)]
    other = await ended(ledger, Status.FAILED, "bbbb")

    assert await user.retry(fingerprint="aaaa") == (3, None)

    assert await status_of(ledger, *alike, other) == ["PENDING"] * 3 + ["FAILED"]
    job = await ledger.job(alike[0])
    assert (job.max_attempts, job.fingerprint) == (4, None), "with the attempts that its processor grants"


@pytest.mark.parametrize("selection", [{"queue": "default"}, {"status": "FAILED"}, {"fingerprint": "aaaa"}])
async def test_more_than_one_command_may_concern_is_gone_through_by_the_cursor(
    ledger: Ledger, user: Commander, monkeypatch: pytest.MonkeyPatch, selection: dict[str, str]
) -> None:
    jobs = [await ended(ledger, Status.FAILED, "aaaa") for _ in range(5)]
    monkeypatch.setattr(store, "LARGEST", 2)

    first, cursor = await user.replay(**selection)
    second, following = await user.replay(**selection, cursor=cursor)
    third, end = await user.replay(**selection, cursor=following)

    assert ([first, second, third], end) == ([2, 2, 1], None)
    async with ledger.database.transaction() as session:
        found = await reading.page(session, owner_id=ledger.owner, status=None, processor=None, after=None, limit=50)
        origins = [(await reading.events(session, job.id, 0, 1))[0].data for job in found.jobs if job.id not in jobs]
    assert sorted(data["replayed_from"] for data in origins) == sorted(map(str, jobs)), "each once"


async def test_a_look_ends_at_its_window_and_says_so(
    ledger: Ledger, user: Commander, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await ledger.submit(processor="core.sleep")
    for _ in range(5):
        await ledger.submit()
    monkeypatch.setattr(store, "WINDOW", 3)

    count, cursor = await user.cancel(processor="core.sleep")
    assert count == 0
    assert cursor is not None, "there may be more"

    while cursor is not None:
        more, cursor = await user.cancel(processor="core.sleep", cursor=cursor)
        count += more
    assert count == 1
    assert await status_of(ledger, wanted) == ["CANCELLED"]


async def test_retry_finds_its_jobs_whatever_else_there_is(
    ledger: Ledger, user: Commander, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = await ended(ledger, Status.FAILED)
    cancelled = await ledger.submit()
    await ledger.cancel(cancelled)
    for _ in range(5):
        await ledger.submit()
    monkeypatch.setattr(store, "WINDOW", 3)

    assert await user.retry(processor="core.echo") == (2, None), "an index knows these states"
    assert await status_of(ledger, failed, cancelled) == ["PENDING", "PENDING"]


async def test_a_batch_is_looked_through_whole(ledger: Ledger, user: Commander) -> None:
    member, other = await ledger.submit(), await ledger.submit()
    batch_id = uuids.uuid7()
    async with ledger.database.transaction() as session:
        await session.execute(
            text("UPDATE jobs SET batch_id = :batch WHERE id = :id"), {"batch": batch_id, "id": member}
        )

    assert await Commander(Ledger(ledger.database)).cancel(batch_id=batch_id) == (0, None), "another's"
    assert await user.cancel(batch_id=batch_id) == (1, None)

    assert await status_of(ledger, member, other) == ["CANCELLED", "PENDING"]
    assert await Commander(Ledger(ledger.database), everyone=True).retry(batch_id=batch_id) == (1, None)


async def test_commands_for_the_same_jobs_at_once_each_count_what_they_changed(ledger: Ledger, user: Commander) -> None:
    jobs = [await ledger.submit() for _ in range(100)]

    cancelled = await asyncio.gather(*(user.cancel(queue="default") for _ in range(4)))
    retried = await asyncio.gather(*(user.retry(queue="default") for _ in range(4)))
    await asyncio.gather(*(command(queue="default") for command in (user.cancel, user.retry, user.replay) * 3))

    assert sum(count for count, _cursor in cancelled) == len(jobs)
    assert sum(count for count, _cursor in retried) == len(jobs)
    assert (await ledger.kinds(jobs[0]))[:3] == ["PENDING", "CANCELLED", "PENDING"]


async def test_an_admin_may_mean_everybodys_jobs(ledger: Ledger) -> None:
    mine, theirs = await ledger.submit(), await ledger.submit(owner_id=uuids.uuid7())

    assert (await Commander(ledger, everyone=True).cancel(queue="default"))[0] == 2

    assert await status_of(ledger, mine, theirs) == ["CANCELLED", "CANCELLED"]


async def test_a_replay_is_the_same_work_as_a_new_job(ledger: Ledger, user: Commander) -> None:
    file = NewArtifact(uuids.uuid7(), "jobs/x/inputs/content_key/a.txt", "a.txt", "text/plain", 3, "0" * 64)
    old = await ended(
        ledger, Status.COMPLETED, queue="slow", priority=7, params={"message": "a\x00b"},
        payload={"content_key": file.storage_key},
    )  # fmt: skip
    async with ledger.database.transaction() as session:
        await artifacts.register(session, ledger.owner, [file])
        await reading.link(session, old, "input", 0, {"content_key": file.id})

    new = await user.replay_one(old)

    before, after = await ledger.job(old), await ledger.job(new)
    assert new != old
    assert (after.owner_id, after.processor, after.params, after.payload, after.queue, after.priority) == (
        before.owner_id, before.processor, before.params, before.payload, "slow", 7,
    )  # fmt: skip
    assert (after.status, after.attempt, after.max_attempts, after.due) == ("PENDING", 0, 3, True)
    async with ledger.database.transaction() as session:
        linked = [(link.direction, link.role, stored.id) for link, stored in await reading.artifacts(session, new)]
        (event,) = await reading.events(session, new, 0, 10)
    assert linked == [("input", "content_key", file.id)]
    assert event.data == {"reason": "replayed by the user", "replayed_from": str(old)}


async def test_a_job_is_replayed_in_any_state(ledger: Ledger, user: Commander) -> None:
    waiting = await ledger.submit()

    assert (await ledger.job(await user.replay_one(waiting))).status == "PENDING"
    assert await status_of(ledger, waiting) == ["PENDING"]


async def test_anothers_job_is_not_replayed_but_by_an_admin_and_stays_theirs(ledger: Ledger, user: Commander) -> None:
    stranger = uuids.uuid7()
    theirs = await ledger.submit(owner_id=stranger)

    with pytest.raises(NotFound):
        await user.replay_one(theirs)
    new = await Commander(ledger, everyone=True).replay_one(theirs)
    assert (await ledger.job(new)).owner_id == stranger


async def test_replays_go_in_the_order_of_the_jobs_they_repeat(ledger: Ledger, user: Commander) -> None:
    old = [await ended(ledger, Status.COMPLETED) for _ in range(3)]
    await user.replay(status="COMPLETED")

    claimed = await ledger.claim(await ledger.worker(), limit=3)

    async with ledger.database.transaction() as session:
        origins = [(await reading.events(session, job.id, 0, 1))[0].data["replayed_from"] for job in claimed]
    assert origins == [str(job_id) for job_id in old]


async def test_work_of_a_processor_that_is_gone_is_not_replayed(ledger: Ledger, user: Commander) -> None:
    gone = await ended(ledger, Status.COMPLETED, processor="acme.gone")
    await ended(ledger, Status.COMPLETED)

    with pytest.raises(Invalid, match="no processor 'acme"):
        await user.replay_one(gone)
    with pytest.raises(Invalid, match="no processor 'acme"):
        await user.replay(status="COMPLETED")
    assert await user.replay(processor="core.echo") == (1, None)


@pytest.mark.parametrize("selection", [{}, {"cursor": str(uuids.uuid7())}, {"created_after": "2026-01-01T00:00:00"}])
def test_a_command_for_everything_is_given_by_none_by_accident(selection: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        JobSelection.model_validate(selection)
