"""The rules of artifacts: the object first, the row second, and no object without a row for long."""

import asyncio
from collections.abc import AsyncIterable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import uuid_utils.compat as uuids
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.artifacts import store
from helixnet.artifacts.models import Artifact, OwnedFile
from helixnet.blobs import BlobStore

# Longer than the longest upload or attempt lasts: what is still without a row by then was given up.
ORPHAN_AGE = timedelta(hours=24)
PURGE_BATCH = 50
LISTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """An object that is in storage and waits for its row."""

    id: UUID
    storage_key: str
    filename: str
    media_type: str
    size: int
    sha256: str


async def put(
    blobs: BlobStore,
    key: str,
    content: bytes | AsyncIterable[bytes],
    filename: str,
    media_type: str,
    limit: int | None = None,
) -> NewArtifact:
    """Store the object; the caller registers it, in the transaction that makes it count. Raises TooLarge."""
    blob = await blobs.put(key, content, limit)
    return NewArtifact(uuids.uuid7(), key, filename, media_type, blob.size, blob.sha256)


async def register(session: AsyncSession, owner_id: UUID, artifacts: list[NewArtifact]) -> None:
    """Give stored objects their rows."""
    rows = [
        {
            "id": artifact.id,
            "owner_id": owner_id,
            "storage_key": artifact.storage_key,
            "filename": artifact.filename,
            "media_type": artifact.media_type,
            "size": artifact.size,
            "sha256": artifact.sha256,
        }
        for artifact in artifacts
    ]
    await store.insert_artifacts(session, rows)


async def announce(session: AsyncSession, prefix: str, delay: timedelta = ORPHAN_AGE) -> None:
    """Promise to clean up under the prefix after `delay`: commit this before the first byte is stored there."""
    await store.doom(session, [prefix], delay)


async def settle(session: AsyncSession, prefix: str) -> None:
    """Take the promise back: everything under the prefix has its row."""
    await store.spare(session, [prefix])


async def owned(session: AsyncSession, owner_id: UUID, keys: list[str]) -> dict[str, Artifact]:
    """The owner's artifacts among these storage keys, by key."""
    return await store.owned_by_keys(session, owner_id, keys) if keys else {}


async def owned_files(session: AsyncSession, owner_id: UUID, keys: Collection[str]) -> dict[str, OwnedFile]:
    """What a submission has to know of the owner's artifacts among any number of storage keys, by key."""
    # PostgreSQL refuses a NUL before it looks for anything, and no key has one.
    possible = [key for key in keys if "\0" not in key]
    return await store.owned_files(session, owner_id, possible) if possible else {}


async def remove(session: AsyncSession, artifacts: Sequence[Artifact]) -> None:
    """Delete the rows, and have their objects purged once this transaction is committed."""
    if not artifacts:
        return
    await store.delete_artifacts(session, [artifact.id for artifact in artifacts])
    prefixes = {artifact.storage_key.rpartition("/")[0] + "/" for artifact in artifacts}
    await store.doom(session, prefixes, timedelta(0))


async def purge(session: AsyncSession, blobs: BlobStore) -> tuple[int, bool]:
    """Delete the objects without a row under prefixes whose time has come; how many, and whether there may be more."""
    prefixes = await store.due_prefixes(session, PURGE_BATCH)
    if not prefixes:
        return 0, False
    # Each is a question to the object store and takes its time there, so a few are asked at once.
    at_once = asyncio.Semaphore(LISTS_AT_ONCE)

    async def keys_below(prefix: str) -> list[str]:
        async with at_once:
            return await blobs.keys(prefix)

    keys = [key for found in await asyncio.gather(*map(keys_below, prefixes)) for key in found]
    known = await store.known_keys(session, keys) if keys else set()
    orphans = [key for key in keys if key not in known]
    await blobs.delete(orphans)
    await store.spare(session, prefixes)
    return len(orphans), len(prefixes) == PURGE_BATCH
