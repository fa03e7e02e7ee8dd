"""Batches in the ledger: entered all or none, counted, cancelled and retried as a whole."""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from sqlalchemy import text

from helixnet.artifacts import service as artifacts
from helixnet.artifacts.service import NewArtifact
from helixnet.errors import Invalid, NotFound, TooLarge
from helixnet.jobs import batches
from helixnet.jobs.batches import AcceptedBatch, Commanded, Draft
from helixnet.jobs.schemas import BatchView
from helixnet.jobs.service import Reader
from helixnet.jobs.states import Status
from helixnet.processors import registry
from helixnet.processors.registry import Registry
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio

LONGEST = 2000
INSTALLED = registry.load(development=True)
ECHO: dict[str, Any] = {"processor": "core.echo"}
NOBODY = UUID(int=0)


def drafted(*jobs: object, owner: UUID = NOBODY) -> Draft:
    draft = Draft(INSTALLED, owner, LONGEST)
    draft.add(
        (number, job if isinstance(job, bytes) else json.dumps(job).encode()) for number, job in enumerate(jobs, 1)
    )
    return draft


async def submit(ledger: Ledger, *jobs: object, partial: bool = False) -> AcceptedBatch:
    async with ledger.database.transaction() as session:
        return await batches.submit(session, drafted(*jobs, owner=ledger.owner), partial=partial)


async def look(ledger: Ledger, batch: AcceptedBatch) -> BatchView:
    async with ledger.database.transaction() as session:
        return await batches.get(session, Reader(ledger.owner), batch.id)


async def cancel(ledger: Ledger, batch: AcceptedBatch, reader: Reader | None = None) -> Commanded:
    async with ledger.database.transaction() as session:
        return await batches.cancel(session, reader or Reader(ledger.owner), batch.id)


async def retry(ledger: Ledger, batch: AcceptedBatch, installed: Registry = INSTALLED) -> Commanded:
    async with ledger.database.transaction() as session:
        return await batches.retry(session, installed, Reader(ledger.owner), batch.id)


async def select(ledger: Ledger, sql: str) -> list[tuple[Any, ...]]:
    async with ledger.database.transaction() as session:
        return [tuple(row) for row in await session.execute(text(sql))]


async def store(ledger: Ledger, keys: Iterable[str], owner: UUID | None = None) -> None:
    rows = [NewArtifact(uuids.uuid7(), key, "a.txt", "text/plain", 1, "0" * 64) for key in keys]
    async with ledger.database.transaction() as session:
        await artifacts.register(session, owner or ledger.owner, rows)


async def test_every_job_enters_with_its_event_in_the_order_of_the_lines(ledger: Ledger) -> None:
    accepted = await submit(ledger, *(ECHO | {"params": {"message": str(number)}} for number in range(300)))

    rows = await select(ledger, "SELECT id, params ->> 'message', batch_id, owner_id, status FROM jobs ORDER BY id")
    assert [row[0] for row in rows] == list(accepted.job_ids)
    assert [row[1] for row in rows] == [str(number) for number in range(300)]
    assert {row[2:] for row in rows} == {(accepted.id, ledger.owner, "PENDING")}
    assert await ledger.kinds(accepted.job_ids[299]) == ["PENDING"]


async def test_a_job_enters_alike_alone_and_among_others(ledger: Ledger) -> None:
    job = ECHO | {"params": {"message": 'NUL \x00, "quotes" \\ and 💥'}, "priority": 7, "max_attempts": 2}

    await submit(ledger, job)
    await submit(ledger, job, job)

    seen = await select(
        ledger,
        """
        SELECT params::text, payload::text, processor, queue, priority, max_attempts, time_limit, due, job_events.seq,
               job_events.data::text
        FROM jobs
        JOIN job_events ON job_id = jobs.id
        """,
    )
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert json.loads(seen[0][0])["message"] == job["params"]["message"]


async def test_jobs_for_later_wait_and_the_others_are_due(ledger: Ledger) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    times = [None, later.isoformat(), "2020-01-01T00:00:00+02:00", "2020-01-01T00:00:00"]

    await submit(ledger, *(ECHO | {"available_at": time} for time in times))

    rows = await select(ledger, "SELECT due, available_at FROM jobs ORDER BY id")
    assert [row[0] for row in rows] == [True, False, True, True]
    assert [row[1] for row in rows[1:]] == [
        later,
        datetime(2019, 12, 31, 22, tzinfo=UTC),
        datetime(2020, 1, 1, tzinfo=UTC),
    ]


async def test_a_time_that_no_calendar_has_is_a_wrong_line(ledger: Ledger) -> None:
    with pytest.raises(Invalid) as refused:
        await submit(ledger, ECHO, ECHO | {"available_at": "9999-12-31T23:59:59-12:00"})

    lines: Any = refused.value.fields["lines"]
    assert [(wrong["line"], wrong["violations"][0]["path"]) for wrong in lines] == [(2, "available_at")]


async def test_a_refused_batch_leaves_nothing_behind(ledger: Ledger) -> None:
    with pytest.raises(Invalid) as refused:
        await submit(ledger, ECHO, {"processor": "no.such"}, ECHO)

    assert refused.value.fields["rejected"] == 1
    assert await select(ledger, "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM batches)") == [(0,)]


async def test_of_very_many_wrong_lines_the_first_hundred_are_told(ledger: Ledger) -> None:
    with pytest.raises(Invalid) as refused:
        await submit(ledger, *([b"nonsense"] * 250))

    lines: Any = refused.value.fields["lines"]
    assert refused.value.fields["rejected"] == 250
    assert [wrong["line"] for wrong in lines] == list(range(1, 101))


def test_of_a_line_that_is_wrong_everywhere_some_is_told() -> None:
    draft = drafted(ECHO | {f"field{number}": 1 for number in range(100)})

    assert len(draft.rejected[0].violations) == batches.TOLD_VIOLATIONS


@pytest.mark.parametrize(
    "line",
    [
        b'{"processor": "core.echo", "params": {"message": "\xff"}}',
        b'{"processor": "core.echo", "params": {"message": "\\ud800"}}',
        b'{"processor": "core.echo"',
        b'{"processor": "core.echo"} {}',
        b'{"processor": "core.echo", "params": {"message": ' + b"[" * 300 + b"]" * 300 + b"}}",
        b'{"processor": "core.echo", "params": {"message": "' + b"x" * LONGEST + b'"}}',
        b'"core.echo"',
        b"null",
    ],
)
def test_what_is_no_job_is_a_wrong_line(line: bytes) -> None:
    draft = drafted(ECHO, line, ECHO)

    assert [wrong.line for wrong in draft.rejected] == [2]
    assert len(draft.jobs) == 2


def test_more_lines_than_a_batch_holds_are_refused_as_soon_as_they_are_too_many() -> None:
    draft = Draft(INSTALLED, NOBODY, LONGEST)
    lines = iter(range(1, 20_000))

    with pytest.raises(TooLarge, match="at most 10000"):
        draft.add((number, b"nonsense") for number in lines)

    assert next(lines) == batches.LARGEST_BATCH + 2


async def test_stored_files_are_linked_to_the_jobs_that_read_them(ledger: Ledger) -> None:
    await store(ledger, ["jobs/a", "jobs/b"])
    inputs = {"content_key": "jobs/a", "context_key": "jobs/b"}

    accepted = await submit(ledger, *[{"processor": "text.analyze", "inputs": inputs}] * 3, ECHO)

    rows = await select(
        ledger,
        """
        SELECT job_id, role, storage_key, payload ->> role
        FROM job_artifacts
        JOIN artifacts ON artifacts.id = artifact_id
        JOIN jobs ON jobs.id = job_id
        WHERE direction = 'input'
        ORDER BY job_id, role
        """,
    )
    assert rows == [(job_id, role, key, key) for job_id in accepted.job_ids[:3] for role, key in sorted(inputs.items())]


async def test_files_of_others_and_names_that_no_file_has_are_wrong_lines(ledger: Ledger) -> None:
    await store(ledger, ["jobs/mine"])
    await store(ledger, ["jobs/theirs"], owner=uuids.uuid7())
    keys = ["jobs/mine", "jobs/theirs", "jobs/mine", "jobs/\x00", "jobs/none"]
    jobs = ({"processor": "text.analyze", "inputs": {"content_key": key, "context_key": "jobs/mine"}} for key in keys)

    accepted = await submit(ledger, *jobs, partial=True)

    assert len(accepted.job_ids) == 2
    assert [wrong.line for wrong in accepted.rejected] == [2, 4, 5]


async def test_a_line_is_wrong_once_however_many_of_its_files_are(ledger: Ledger) -> None:
    job = {"processor": "text.analyze", "inputs": {"content_key": "no", "context_key": "neither"}}

    with pytest.raises(Invalid) as refused:
        await submit(ledger, job)

    lines: Any = refused.value.fields["lines"]
    assert refused.value.fields["rejected"] == 1
    assert "'no'" in lines[0]["message"]
    assert "'neither'" in lines[0]["message"]


async def test_counts_follow_the_jobs(ledger: Ledger) -> None:
    accepted = await submit(ledger, *[ECHO] * 4)
    worker = await ledger.worker()
    claimed = await ledger.claim(worker, limit=3)
    await ledger.finish(claimed[0].id, 1)
    await ledger.finish(claimed[1].id, 1, Status.FAILED, error={"kind": "bug", "message": "broken"})

    batch = await look(ledger, accepted)
    assert batch.counts == {"PENDING": 1, "IN_PROGRESS": 1, "COMPLETED": 1, "FAILED": 1, "CANCELLED": 0}
    assert (batch.size, batch.finished) == (4, False)

    await ledger.finish(claimed[2].id, 1)
    await cancel(ledger, accepted)

    batch = await look(ledger, accepted)
    assert batch.counts == {"PENDING": 0, "IN_PROGRESS": 0, "COMPLETED": 2, "FAILED": 1, "CANCELLED": 1}
    assert batch.finished


async def test_a_deleted_job_is_in_no_count_any_more(ledger: Ledger) -> None:
    accepted = await submit(ledger, ECHO, ECHO)
    await cancel(ledger, accepted)

    await select(ledger, f"DELETE FROM jobs WHERE id = '{accepted.job_ids[0]}' RETURNING id")

    batch = await look(ledger, accepted)
    assert (batch.size, batch.counts[Status.CANCELLED], batch.finished) == (2, 1, True)


async def test_cancelling_ends_what_waits_and_asks_what_runs_and_touches_no_other_job(ledger: Ledger) -> None:
    other = await ledger.submit()
    accepted = await submit(ledger, *[ECHO | {"priority": 9}] * 3)
    (running,) = await ledger.claim(await ledger.worker())

    assert (await cancel(ledger, accepted)).count == 3
    assert (await cancel(ledger, accepted)).count == 0

    assert (await ledger.job(other)).status == Status.PENDING
    assert (await ledger.job(running.id)).status == Status.IN_PROGRESS
    assert await ledger.kinds(running.id) == ["PENDING", "IN_PROGRESS", "CANCEL_REQUESTED"]
    waiting = next(job_id for job_id in accepted.job_ids if job_id != running.id)
    assert (await ledger.job(waiting)).finished_at is not None
    assert await ledger.kinds(waiting) == ["PENDING", "CANCELLED"]


async def test_two_who_cancel_at_once_share_the_jobs_and_nobody_waits_for_ever(ledger: Ledger) -> None:
    accepted = await submit(ledger, *[ECHO] * 500)

    one, two = await asyncio.gather(cancel(ledger, accepted), cancel(ledger, accepted))

    assert one.count + two.count == 500
    assert await ledger.kinds(accepted.job_ids[0]) == ["PENDING", "CANCELLED"]


async def test_retrying_gives_fresh_attempts_by_the_policy_of_each_processor(ledger: Ledger) -> None:
    jobs = [ECHO, {"processor": "core.sleep", "params": {"seconds": 0}}, ECHO, ECHO]
    accepted = await submit(ledger, *jobs)
    claimed = await ledger.claim(await ledger.worker(), limit=3, costs={"core.echo": 0, "core.sleep": 0})
    await ledger.finish(claimed[0].id, 1, Status.FAILED, error={"kind": "bug", "message": "x"}, fingerprint="f")
    await ledger.finish(claimed[1].id, 1, Status.FAILED, error={"kind": "bug", "message": "x"}, fingerprint="f")
    await ledger.finish(claimed[2].id, 1)
    await cancel(ledger, accepted)
    only_echo = Registry([INSTALLED.get("core.echo")])

    retried = await retry(ledger, accepted, only_echo)

    assert (retried.count, retried.owner_id, retried.queues) == (3, ledger.owner, frozenset({"default"}))
    first, second, third, fourth = [await ledger.job(job_id) for job_id in accepted.job_ids]
    assert [job.status for job in (first, second, third, fourth)] == ["PENDING", "PENDING", "COMPLETED", "PENDING"]
    granted = INSTALLED.get("core.echo").retry.max_attempts
    assert [job.max_attempts for job in (first, second, fourth)] == [1 + granted, 1 + 1, granted]
    assert (first.due, first.error, first.fingerprint, first.finished_at) == (True, None, None, None)
    assert await ledger.kinds(fourth.id) == ["PENDING", "CANCELLED", "PENDING"]
    assert (await retry(ledger, accepted)).count == 0


async def test_a_batch_is_seen_by_its_owner_and_by_an_admin_who_asks_for_everybodys(ledger: Ledger) -> None:
    accepted = await submit(ledger, ECHO)
    stranger = uuids.uuid7()

    with pytest.raises(NotFound):
        await cancel(ledger, accepted, Reader(stranger))
    commanded = await cancel(ledger, accepted, Reader(stranger, everyone=True))

    assert (commanded.count, commanded.owner_id) == (1, ledger.owner)
