"""Failures by kind: counted together, each owner's own, and never further than a cap."""

from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from helixnet.jobs import failures
from helixnet.jobs.schemas import FailureKind, JobPage
from helixnet.jobs.service import Reader
from helixnet.jobs.states import Status
from helixnet.jobs.store import failures as store
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio


async def fail(ledger: Ledger, fingerprint: str | None, message: str = "broken", owner_id: UUID | None = None) -> UUID:
    job_id = await ledger.submit(owner_id=owner_id or ledger.owner)
    (job,) = await ledger.claim(await ledger.worker())
    error = {"kind": "bug", "message": message, "type": "ValueError", "place": "acme:run", "fingerprint": fingerprint}
    assert await ledger.finish(job.id, job.attempt, Status.FAILED, error=error, fingerprint=fingerprint)
    return job_id


async def kinds(ledger: Ledger, *, everyone: bool = False) -> list[FailureKind]:
    async with ledger.database.statement() as session:
        found = await failures.by_kind(session, Reader(ledger.owner, everyone))
    assert not found.more
    return found.items


async def jobs(ledger: Ledger, fingerprint: str, cursor: UUID | None = None, *, everyone: bool = False) -> JobPage:
    async with ledger.database.statement() as session:
        return await failures.of_a_kind(session, Reader(ledger.owner, everyone), fingerprint, cursor, 2)


async def test_failures_are_counted_by_kind_the_latest_first(ledger: Ledger) -> None:
    older = [await fail(ledger, "bbbb", f"invoice {number}") for number in range(3)]
    newer = await fail(ledger, "aaaa")
    retried = await fail(ledger, "cccc")
    await ledger.retry(retried)

    first, second = await kinds(ledger)

    assert (first.fingerprint, first.count, first.latest_job_id, first.first_job_id) == ("aaaa", 1, newer, newer)
    assert (second.fingerprint, second.count, second.count_is_capped) == ("bbbb", 3, False)
    assert (second.first_job_id, second.latest_job_id) == (older[0], older[2])
    assert second.first_at is not None
    assert second.latest_at is not None
    assert second.first_at < second.latest_at
    assert (second.processor, second.error.message, second.error.place) == ("core.echo", "invoice 2", "acme:run")


async def test_nobody_sees_anothers_failures_but_an_admin_who_asks(ledger: Ledger) -> None:
    stranger = uuids.uuid7()
    mine = await fail(ledger, "aaaa")
    theirs = [await fail(ledger, fingerprint, owner_id=stranger) for fingerprint in ("aaaa", "bbbb")]

    assert [(kind.fingerprint, kind.count) for kind in await kinds(ledger)] == [("aaaa", 1)]
    assert (await jobs(ledger, "bbbb")).items == []
    assert [(kind.fingerprint, kind.count) for kind in await kinds(ledger, everyone=True)] == [("bbbb", 1), ("aaaa", 2)]
    assert [job.job_id for job in (await jobs(ledger, "aaaa", everyone=True)).items] == [theirs[0], mine]


async def test_the_jobs_of_a_kind_come_in_pages(ledger: Ledger) -> None:
    alike = [await fail(ledger, "aaaa") for _ in range(3)]
    await fail(ledger, "bbbb")

    page = await jobs(ledger, "aaaa")
    assert page.next_cursor is not None
    rest = await jobs(ledger, "aaaa", UUID(page.next_cursor))

    assert [job.job_id for job in page.items + rest.items] == alike[::-1]
    assert rest.next_cursor is None


async def test_counting_ends_at_a_cap(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await fail(ledger, "aaaa")
    monkeypatch.setattr(store, "MOST_COUNTED", 2)

    (kind,) = await kinds(ledger)

    assert (kind.count, kind.count_is_capped) == (2, True)


async def test_kinds_are_looked_at_up_to_a_cap(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for fingerprint in ("aaaa", "bbbb", "cccc"):
        await fail(ledger, fingerprint)
    monkeypatch.setattr(store, "MOST_KINDS", 2)

    async with ledger.database.statement() as session:
        found = await failures.by_kind(session, Reader(ledger.owner))

    assert (len(found.items), found.more) == (2, True)


async def test_failures_of_before_there_were_kinds_are_left_out(ledger: Ledger) -> None:
    await fail(ledger, None)
    await fail(ledger, "aaaa")
    await fail(ledger, None, owner_id=uuids.uuid7())

    assert [kind.fingerprint for kind in await kinds(ledger)] == ["aaaa"]
    assert [kind.fingerprint for kind in await kinds(ledger, everyone=True)] == ["aaaa"]
