"""A round of beat deletes what is too old, for as long as it may and no longer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import uuid_utils.compat as uuids
from sqlalchemy import func, select, text

from helixnet import broker
from helixnet.artifacts import service as artifacts
from helixnet.artifacts.models import DoomedPrefix
from helixnet.blobs import BlobStore
from helixnet.broker import Ringer
from helixnet.config import Settings
from helixnet.jobs import retention
from helixnet.jobs.models import Job
from helixnet.stack.servers import Valkey
from helixnet.worker.beat import Housekeeper
from tests.conftest import free_port
from tests.jobs.conftest import Ledger
from tests.jobs.test_retention import job

pytestmark = pytest.mark.anyio

# Half of it is for deleting: as good as without end, and so little that one transaction is all.
LONG, SHORT = 600.0, 0.000_001


@pytest.fixture
def settings(database_url: str, valkey: Valkey, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "database_url": database_url,
            "broker_url": valkey.broker_url,
            "storage_url": f"file://{tmp_path}/objects",
            "keep_ended_days": 7,
        }
    )


@asynccontextmanager
async def housekeeper(settings: Settings, seconds: float) -> AsyncIterator[Housekeeper]:
    settings = settings.model_copy(update={"housekeeping_seconds": seconds})
    found = Housekeeper(settings, Ringer(broker.create_app(settings), threads=1))
    try:
        yield found
    finally:
        await found.close()


async def left(ledger: Ledger) -> int:
    async with ledger.database.transaction() as session:
        return int(await session.scalar(select(func.count()).select_from(Job)) or 0)


async def test_one_round_deletes_as_many_old_jobs_as_there_is_time_for(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOOKED_AT", 3)
    for _ in range(10):
        await job(ledger, made_days=9, ended_days=8)
    kept = await job(ledger, made_days=1, ended_days=0.5)

    async with housekeeper(settings, SHORT) as hasty:
        await hasty.round()
        assert await left(ledger) == 8
        await hasty.round()
        assert await left(ledger) == 5, "the next round goes on"
    async with housekeeper(settings, LONG) as patient:
        await patient.round()

    async with ledger.database.transaction() as session:
        assert list(await session.scalars(select(Job.id))) == [kept]


async def test_one_round_purges_all_that_is_due(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "PURGE_BATCH", 2)
    blobs = BlobStore(settings)
    prefixes = [f"jobs/{ledger.owner}/{uuids.uuid7()}/inputs/a/" for _ in range(5)]
    for prefix in prefixes:
        await blobs.put(f"{prefix}a.txt", b"nobody's")
        async with ledger.database.transaction() as session:
            await artifacts.announce(session, prefix, timedelta(0))
    await blobs.put("jobs/other/a.txt", b"not announced")

    async with housekeeper(settings, LONG) as patient:
        await patient.round()

    assert await blobs.keys("") == ["jobs/other/a.txt"]
    async with ledger.database.transaction() as session:
        assert list(await session.scalars(select(DoomedPrefix.prefix))) == []


async def test_an_object_store_that_is_away_keeps_nobody_from_the_other_steps(
    ledger: Ledger, settings: Settings
) -> None:
    storage = {"storage_url": "s3://nowhere", "storage_endpoint": f"http://127.0.0.1:{free_port()}"}
    away = settings.model_copy(update=storage)
    async with ledger.database.transaction() as session:
        await artifacts.announce(session, "jobs/nobodys/", timedelta(0))

    async with housekeeper(away, LONG) as beat:
        await beat.round()
        job_id = await ledger.submit()
        await ledger.claim(await ledger.worker())
        async with ledger.database.transaction() as session:
            await session.execute(text("DELETE FROM workers"))
        await beat.round()

    assert (await ledger.job(job_id)).status == "PENDING", "its worker is lost"
    async with ledger.database.transaction() as session:
        assert list(await session.scalars(select(DoomedPrefix.prefix))) != [], "it will be looked at again"
