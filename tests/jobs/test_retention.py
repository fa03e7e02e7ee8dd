"""Ended jobs are kept for so long and no longer; whatever still lives stays, and files that others use."""

from datetime import timedelta
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from sqlalchemy import func, select, text

from helixnet.artifacts import service as artifacts
from helixnet.artifacts.models import Artifact, DoomedPrefix
from helixnet.jobs import retention
from helixnet.jobs.models import Job, JobEvent
from helixnet.jobs.store import reading
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio

AGE = timedelta(days=7)


def made(days_ago: float) -> UUID:
    """A job's id as it was made some days ago."""
    milliseconds = (uuids.uuid7().int >> 80) - int(days_ago * 86_400_000)
    return UUID(int=milliseconds << 80 | uuids.uuid7().int & (1 << 80) - 1)


async def job(ledger: Ledger, *, made_days: float, ended_days: float | None = None, status: str = "COMPLETED") -> UUID:
    """A job that was submitted and ended so many days ago; one that didn't end waits."""
    job_id = await ledger.submit(id=made(made_days))
    if ended_days is not None:
        async with ledger.database.transaction() as session:
            await session.execute(
                text("UPDATE jobs SET status = :status, finished_at = now() - :age WHERE id = :id"),
                {"id": job_id, "status": status, "age": timedelta(days=ended_days)},
            )
    return job_id


async def expire(ledger: Ledger) -> int:
    """One whole pass; answers how many jobs it deleted."""
    total, after = 0, retention.FIRST
    while True:
        async with ledger.database.transaction() as session:
            count, last = await retention.expire(session, AGE, after)
        total += count
        if last is None:
            return total
        assert last > after
        after = last


async def left(ledger: Ledger) -> set[UUID]:
    async with ledger.database.transaction() as session:
        return set(await session.scalars(select(Job.id)))


async def test_what_ended_long_ago_goes_with_its_history_and_the_rest_stays(ledger: Ledger) -> None:
    gone = [
        await job(ledger, made_days=9, ended_days=8, status=status) for status in ("COMPLETED", "FAILED", "CANCELLED")
    ]
    kept = {
        await job(ledger, made_days=9, ended_days=6),
        await job(ledger, made_days=9),
        await job(ledger, made_days=6, ended_days=5),
        await job(ledger, made_days=0),
    }

    assert await expire(ledger) == len(gone)

    assert await left(ledger) == kept
    async with ledger.database.transaction() as session:
        assert set(await session.scalars(select(JobEvent.job_id))) == kept
    assert await expire(ledger) == 0


async def test_a_pass_goes_on_behind_jobs_that_live_for_ever(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOOKED_AT", 3)
    for number in range(7):
        await job(ledger, made_days=20 - number)
    for _ in range(4):
        await job(ledger, made_days=9, ended_days=8)

    assert await expire(ledger) == 4

    assert len(await left(ledger)) == 7


async def test_files_go_with_the_last_job_that_uses_them(ledger: Ledger) -> None:
    old, young = await job(ledger, made_days=9, ended_days=8), await job(ledger, made_days=1)
    shared, alone = (
        artifacts.NewArtifact(
            id=uuids.uuid7(),
            storage_key=f"jobs/{ledger.owner}/{old}/inputs/{role}/a.txt",
            filename="a.txt",
            media_type="text/plain",
            size=1,
            sha256="0" * 64,
        )
        for role in ("shared", "alone")
    )
    async with ledger.database.transaction() as session:
        await artifacts.register(session, ledger.owner, [shared, alone])
        await reading.link(session, old, "input", 0, {"shared": shared.id, "alone": alone.id})
        await reading.link(session, young, "input", 0, {"shared": shared.id})

    assert await expire(ledger) == 1

    async with ledger.database.transaction() as session:
        assert list(await session.scalars(select(Artifact.id))) == [shared.id]
        due = await session.scalars(select(DoomedPrefix.prefix).where(DoomedPrefix.due_at <= func.now()))
        assert list(due) == [f"jobs/{ledger.owner}/{old}/inputs/alone/"]
