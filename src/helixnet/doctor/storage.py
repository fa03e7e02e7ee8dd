"""The object store: can an object be put, read, deleted, and fetched by a link; and does it hold what the rows say."""

import os
import uuid
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import httpx2

from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.doctor import store
from helixnet.doctor.findings import Finding, error, ok, plain, said, warning
from helixnet.errors import HelixError

# The first part of every key of a job; other prefixes are not ours to judge.
OURS = "jobs/"
BYTES = 1024
LINK_SECONDS = 60
LINK_PATIENCE_SECONDS = 5
PAGE = 1000
SHOWN = 3


async def examine(settings: Settings) -> tuple[list[Finding], BlobStore | None]:
    """Put, get and delete one small object; the store, if it works."""
    try:
        blobs = BlobStore(settings)
        found = await _try_out(blobs, settings)
    except Exception as problem:  # noqa: BLE001 - whatever the store raises, it did not do its work
        advice = "Correct HELIX_STORAGE_URL, _ENDPOINT, _REGION and the keys; they need put, get, list and delete."
        return [error("storage.works", f"The object store does not work: {said(problem, settings)}", advice)], None
    return found, blobs


async def _try_out(blobs: BlobStore, settings: Settings) -> list[Finding]:
    key, content = f"health/doctor-{uuid.uuid4().hex}", os.urandom(BYTES)
    await blobs.put(key, content)
    try:
        if await blobs.get(key, BYTES) != content:
            raise OSError("what was read is not what was written")
        found = [ok("storage.works", "Objects are put, read and deleted.")]
        link = await blobs.signed_link(key, timedelta(seconds=LINK_SECONDS))
        if link is not None:
            found.append(await _follow(link, content, settings))
    finally:
        await blobs.delete([key])
    if await blobs.sizes([key]) != [None]:
        raise OSError("an object that was deleted is still there")
    return found


async def _follow(link: str, content: bytes, settings: Settings) -> Finding:
    host = plain(urlsplit(link).netloc)
    advice = "Let HELIX_STORAGE_ENDPOINT name a host that users reach too: signed links lead there."
    try:
        async with httpx2.AsyncClient(timeout=LINK_PATIENCE_SECONDS) as client:
            answer = await client.get(link)
    except httpx2.HTTPError as problem:
        hidden = said(problem, settings).replace(link, host)
        return warning("storage.links", f"A signed link to {host} can't be followed from here: {hidden}", advice)
    if answer.status_code != httpx2.codes.OK or answer.content != content:
        return warning("storage.links", f"A signed link to {host} was answered with {answer.status_code}.", advice)
    return ok("storage.links", f"Signed links to {host} work from here.")


async def missing_objects(
    database: Database, blobs: BlobStore, settings: Settings, sample: int | None
) -> list[Finding]:
    """Rows without their objects, among the newest `sample` rows, or all of them (None)."""
    looked = 0
    missing: list[str] = []
    wrong: list[str] = []
    before: UUID | None = None
    try:
        while sample is None or looked < sample:
            limit = PAGE if sample is None else min(PAGE, sample - looked)
            async with database.transaction() as session:
                rows = await store.artifacts(session, before, limit)
            if not rows:
                break
            sizes = await blobs.sizes([key for _id, key, _size in rows])
            absent = {id_: key for (id_, key, _size), found in zip(rows, sizes, strict=True) if found is None}
            missing += await _still_known(database, absent)
            wrong += [key for (_id, key, size), found in zip(rows, sizes, strict=True) if found not in (None, size)]
            looked, before = looked + len(rows), rows[-1][0]
    except (HelixError, OSError) as problem:
        return [
            error(
                "storage.missing", f"Objects could not be looked at: {said(problem, settings)}", "Run the doctor again."
            )
        ]
    scope = f"{'all' if sample is None else 'the newest'} {looked} artifacts"
    found = []
    if missing:
        found.append(
            error(
                "storage.missing",
                f"Of {scope}, {len(missing)} have no object: {_some(missing)}.",
                "See that HELIX_STORAGE_URL names the right bucket; restore what is gone from the backup.",
                keys=missing[:100],
                looked_at=looked,
            )
        )
    if wrong:
        found.append(
            error(
                "storage.sizes",
                f"Of {scope}, {len(wrong)} have objects of another size: {_some(wrong)}.",
                "Something else writes here: give HelixNet a bucket or a prefix of its own, and restore these.",
                keys=wrong[:100],
            )
        )
    return found or [ok("storage.missing", f"Of {scope}, every one has its object.", looked_at=looked)]


async def _still_known(database: Database, absent: dict[UUID, str]) -> list[str]:
    """The absent ones whose rows are still there: whatever was deleted meanwhile is missed by nobody."""
    if not absent:
        return []
    async with database.transaction() as session:
        return [absent[id_] for id_ in await store.rows_among(session, list(absent))]


async def orphan_objects(database: Database, blobs: BlobStore, settings: Settings, sample: int | None) -> list[Finding]:
    """Objects that nothing in the database knows of, among the first `sample` from a random place on, or all."""
    looked, ended = 0, False
    orphans: list[str] = []
    # Where to begin is drawn anew each time, so many small samples come round to everything.
    after = None if sample is None else f"{OURS}{uuid.uuid4()}"
    try:
        for start in dict.fromkeys((after, None)):
            async for page in blobs.pages(OURS, start):
                keys = page if sample is None else page[: sample - looked]
                looked += len(keys)
                async with database.transaction() as session:
                    orphans += await store.unknown_keys(session, keys)
                ended = sample is not None and looked >= sample
                if ended:
                    break
            if ended:
                break
    except (HelixError, OSError) as problem:
        return [
            error(
                "storage.orphans", f"The bucket could not be listed: {said(problem, settings)}", "Run the doctor again."
            )
        ]
    orphans = await _still_stored(blobs, sorted(set(orphans)))
    scope = f"{looked} objects" + ("" if sample is None else " (a sample)")
    if orphans:
        return [
            warning(
                "storage.orphans",
                f"Of {scope}, {len(orphans)} belong to nothing in the database: {_some(orphans)}.",
                "After a restore of the database they are what came later; keep them until that is settled.",
                keys=orphans[:100],
                looked_at=looked,
            )
        ]
    return [ok("storage.orphans", f"Of {scope}, every one belongs to something.", looked_at=looked)]


async def _still_stored(blobs: BlobStore, keys: list[str]) -> list[str]:
    """Those of the objects that are still there: housekeeping may have deleted others meanwhile."""
    return [key for key, size in zip(keys, await blobs.sizes(keys), strict=True) if size is not None]


def _some(keys: list[str]) -> str:
    shown = ", ".join(plain(key) for key in keys[:SHOWN])
    return shown if len(keys) <= SHOWN else f"{shown}, …"
