"""The SQL of artifacts."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.artifacts.models import Artifact, DoomedPrefix, OwnedFile
from helixnet.db import dump_json

# All keys as one value: a parameter for each is too much for ten thousand, and for PostgreSQL from 65,536 on.
OWNED_FILES = text("""
    SELECT storage_key, artifacts.id, filename, media_type, size
    FROM json_array_elements_text(CAST(:keys AS json)) AS wanted (storage_key)
    JOIN artifacts USING (storage_key)
    WHERE owner_id = :owner_id
    ORDER BY artifacts.id
    FOR KEY SHARE OF artifacts
""")

DOOM = text("""
    INSERT INTO doomed_prefixes (prefix, due_at)
    SELECT prefix, now() + :delay
    FROM unnest(CAST(:prefixes AS text[])) AS prefix
    ORDER BY prefix
    ON CONFLICT (prefix) DO UPDATE SET due_at = LEAST(doomed_prefixes.due_at, excluded.due_at)
""")


async def insert_artifacts(session: AsyncSession, artifacts: Sequence[dict[str, object]]) -> None:
    if artifacts:
        await session.execute(insert(Artifact), artifacts)


async def owned_by_keys(session: AsyncSession, owner_id: UUID, keys: Iterable[str]) -> dict[str, Artifact]:
    """The owner's artifacts among these storage keys, by key, kept from deletion until this transaction ends."""
    rows = await session.scalars(
        select(Artifact)
        .where(Artifact.owner_id == owner_id, Artifact.storage_key.in_(list(keys)))
        .order_by(Artifact.id)
        .with_for_update(read=True, key_share=True)
    )
    return {artifact.storage_key: artifact for artifact in rows}


async def owned_files(session: AsyncSession, owner_id: UUID, keys: Sequence[str]) -> dict[str, OwnedFile]:
    """As `owned_by_keys`, for any number of keys."""
    rows = await session.execute(OWNED_FILES, {"owner_id": owner_id, "keys": dump_json(keys)})
    return {key: OwnedFile(*about) for key, *about in rows}


async def delete_artifacts(session: AsyncSession, artifact_ids: Sequence[UUID]) -> None:
    await session.execute(delete(Artifact).where(Artifact.id.in_(artifact_ids)))


async def doom(session: AsyncSession, prefixes: Iterable[str], delay: timedelta) -> None:
    """Have the prefixes looked at after `delay`; an earlier appointment stands."""
    await session.execute(DOOM, {"prefixes": sorted(set(prefixes)), "delay": delay})


async def spare(session: AsyncSession, prefixes: Sequence[str]) -> None:
    await session.execute(delete(DoomedPrefix).where(DoomedPrefix.prefix.in_(prefixes)))


async def due_prefixes(session: AsyncSession, limit: int) -> Sequence[str]:
    """Prefixes whose time has come, locked for this transaction; those that another one works on are left out."""
    rows = await session.scalars(
        select(DoomedPrefix.prefix)
        .where(DoomedPrefix.due_at <= func.now())
        .order_by(DoomedPrefix.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


async def known_keys(session: AsyncSession, keys: Sequence[str]) -> set[str]:
    """Which of these storage keys have an artifact row."""
    return set(await session.scalars(select(Artifact.storage_key).where(Artifact.storage_key.in_(keys))))
