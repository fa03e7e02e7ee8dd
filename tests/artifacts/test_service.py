"""Artifacts: no object without a row for long, and no row without its object."""

from datetime import timedelta

import pytest
import uuid_utils.compat as uuids

from helixnet.artifacts import service, store
from helixnet.blobs import BlobStore
from helixnet.db import Database

pytestmark = pytest.mark.anyio

NOW = timedelta(0)


async def announce(database: Database, prefix: str, delay: timedelta = NOW) -> None:
    async with database.transaction() as session:
        await service.announce(session, prefix, delay)


async def purge(database: Database, blobs: BlobStore) -> int:
    async with database.transaction() as session:
        deleted, _more = await service.purge(session, blobs)
        return deleted


async def test_an_announced_prefix_is_purged_of_objects_without_a_row(database: Database, blobs: BlobStore) -> None:
    owner = uuids.uuid7()
    kept = await service.put(blobs, "jobs/a/kept", b"kept", "kept", "text/plain")
    await blobs.put("jobs/a/orphan", b"orphan")
    await blobs.put("jobs/b/elsewhere", b"elsewhere")
    async with database.transaction() as session:
        await service.register(session, owner, [kept])
    await announce(database, "jobs/a/")

    assert await purge(database, blobs) == 1

    assert await blobs.keys("jobs/a/") == ["jobs/a/kept"]
    assert await blobs.keys("jobs/b/") == ["jobs/b/elsewhere"]
    assert await purge(database, blobs) == 0


async def test_an_announcement_waits_for_its_time(database: Database, blobs: BlobStore) -> None:
    await blobs.put("jobs/a/still-uploading", b"x")
    await announce(database, "jobs/a/", timedelta(hours=1))

    assert await purge(database, blobs) == 0
    await announce(database, "jobs/a/")
    assert await purge(database, blobs) == 1, "an earlier appointment counts"


async def test_a_settled_prefix_is_left_alone(database: Database, blobs: BlobStore) -> None:
    await blobs.put("jobs/a/object", b"x")
    await announce(database, "jobs/a/")
    async with database.transaction() as session:
        await service.settle(session, "jobs/a/")

    assert await purge(database, blobs) == 0
    assert await blobs.keys("jobs/a/") == ["jobs/a/object"]


async def test_two_purges_at_once_share_the_work(database: Database, blobs: BlobStore) -> None:
    await announce(database, "jobs/a/")
    await announce(database, "jobs/b/")

    async with database.transaction() as first, database.transaction() as second:
        mine = await store.due_prefixes(first, 1)
        yours = await store.due_prefixes(second, 10)

    assert sorted([*mine, *yours]) == ["jobs/a/", "jobs/b/"]


async def test_only_the_owners_files_are_found_by_key(database: Database, blobs: BlobStore) -> None:
    owner, stranger = uuids.uuid7(), uuids.uuid7()
    artifact = await service.put(blobs, "jobs/a/file", b"x", "file", "text/plain")
    async with database.transaction() as session:
        await service.register(session, owner, [artifact])

    async with database.transaction() as session:
        assert set(await service.owned(session, owner, ["jobs/a/file", "jobs/a/other"])) == {"jobs/a/file"}
        assert await service.owned(session, stranger, ["jobs/a/file"]) == {}
