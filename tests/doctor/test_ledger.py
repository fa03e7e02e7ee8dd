"""What goes wrong in the ledger and the bucket is done for real, and the doctor says so."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import uuid_utils.compat as uuids
from sqlalchemy import text

from helixnet.artifacts import service as artifacts
from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.doctor import Level, Options, examine, store
from helixnet.jobs.store import leases
from tests.doctor.conftest import troubles
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio
MakeSettings = Callable[..., Settings]


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["psycopg.AsyncConnection[tuple[object, ...]]"]:
    """For what the product itself never does."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield connection


Connection = psycopg.AsyncConnection[tuple[object, ...]]


async def test_a_queue_that_nobody_serves(make_settings: MakeSettings, ledger: Ledger) -> None:
    await ledger.submit(queue="mail")
    await ledger.submit(queue="mail")

    report = await examine(make_settings())

    assert troubles(report) == {"queues.unserved": Level.ERROR}
    (finding,) = report.of("queues.unserved")
    assert finding.facts == {"queue": "mail", "waiting": 2}
    assert finding.advice == "Start a worker with HELIX_QUEUES=mail."


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        ("paused = true", "queues.paused", Level.NOTE),
        ("running_limit = 0", "queues.closed", Level.WARNING),
        ("owner_running_limit = 0", "queues.closed", Level.WARNING),
        ("running_limit = 1", "queues.served", Level.OK),
    ],
)
async def test_a_queue_that_may_not_run(
    make_settings: MakeSettings, ledger: Ledger, connection: Connection, change: str, check: str, level: Level
) -> None:
    await ledger.worker()
    await ledger.submit()
    await connection.execute(f"UPDATE queues SET {change}")

    (finding,) = (await examine(make_settings())).of("queues")

    assert (finding.check, finding.level) == (check, level)


async def test_the_name_of_a_queue_is_shown_without_its_escape_codes(
    make_settings: MakeSettings, ledger: Ledger
) -> None:
    await ledger.submit(queue="a\x1b[31m\nb")

    (finding,) = (await examine(make_settings())).of("queues")

    assert "\x1b" not in finding.message + finding.advice
    assert "\n" not in finding.message + finding.advice


async def test_running_jobs_whose_worker_is_gone_or_silent_or_whose_time_is_over(
    make_settings: MakeSettings, ledger: Ledger, connection: Connection
) -> None:
    for trouble in (
        "DELETE FROM workers WHERE id = %s",
        "UPDATE workers SET heartbeat_at = now() - interval '10 minutes' WHERE id = %s",
        "UPDATE jobs SET deadline_at = now() - interval '2 minutes' WHERE worker_id = %s",
    ):
        await ledger.submit()
        worker = await ledger.worker()
        assert len(await ledger.claim(worker)) == 1
        await connection.execute(trouble, (worker,))
    await connection.execute("UPDATE jobs SET started_at = now() - interval '10 minutes'")

    report = await examine(make_settings())

    assert troubles(report) == {"jobs.stuck": Level.ERROR, "workers.dead": Level.ERROR}
    (stuck,) = report.of("jobs.stuck")
    assert len(stuck.facts["jobs"]) == 3
    for reason in ("its worker is gone", "its worker is silent", "its time is over"):
        assert reason in stuck.message


async def test_a_job_that_runs_as_it_should_is_left_alone(make_settings: MakeSettings, ledger: Ledger) -> None:
    await ledger.submit()
    await ledger.claim(await ledger.worker())

    assert troubles(await examine(make_settings())) == {}


async def test_housekeeping_that_does_not_come(
    make_settings: MakeSettings, ledger: Ledger, connection: Connection
) -> None:
    await ledger.worker()
    await ledger.submit()
    await connection.execute("UPDATE jobs SET due = false, available_at = now() - interval '5 minutes'")
    await connection.execute("INSERT INTO doomed_prefixes VALUES ('jobs/a/', now() - interval '1 hour')")

    report = await examine(make_settings())

    assert troubles(report) == {"jobs.unripe": Level.ERROR, "storage.unpurged": Level.WARNING}
    assert report.of("beat.alive")[0].level is Level.ERROR


async def test_a_worker_that_lives_and_claims_nothing(
    make_settings: MakeSettings, ledger: Ledger, connection: Connection
) -> None:
    worker = await ledger.worker(node="host-7/boot/ns")
    await ledger.submit()
    await connection.execute("UPDATE workers SET started_at = now() - interval '1 hour'")
    await connection.execute("UPDATE jobs SET available_at = now() - interval '5 minutes'")

    report = await examine(make_settings())

    assert troubles(report) == {"workers.stalled": Level.ERROR}
    assert "host-7" in report.of("workers.stalled")[0].message

    async with ledger.database.transaction() as session:
        await leases.heartbeat(session, worker, {}, timedelta(seconds=1))

    assert troubles(await examine(make_settings())) == {}


async def test_a_long_job_makes_short_limits_worth_a_note(make_settings: MakeSettings, ledger: Ledger) -> None:
    await ledger.worker()
    await ledger.submit(time_limit=timedelta(hours=3))

    (finding,) = (await examine(make_settings())).of("broker.visibility_timeout")

    assert finding.level is Level.NOTE
    assert "3 h" in finding.message


# The bucket and the rows.


async def stored(database: Database, blobs: BlobStore, count: int) -> list[str]:
    """Artifacts, each an object and its row."""
    owner: UUID = uuids.uuid7()
    keys = [f"jobs/{owner}/{uuids.uuid7()}/input/{number}" for number in range(count)]
    new = [await artifacts.put(blobs, key, b"content", "a.txt", "text/plain") for key in keys]
    async with database.transaction() as session:
        await artifacts.register(session, owner, new)
    return keys


async def test_rows_without_objects_and_objects_of_another_size(
    make_settings: MakeSettings, database: Database
) -> None:
    settings = make_settings()
    blobs = BlobStore(settings)
    keys = await stored(database, blobs, 12)
    await blobs.delete([keys[3]])
    await blobs.put(keys[5], b"something else")

    report = await examine(settings)

    assert troubles(report) == {"storage.missing": Level.ERROR, "storage.sizes": Level.ERROR}
    assert report.of("storage.missing")[0].facts == {"keys": [keys[3]], "looked_at": 12}
    assert report.of("storage.sizes")[0].facts["keys"] == [keys[5]]


async def test_objects_that_nothing_knows_of(make_settings: MakeSettings, database: Database) -> None:
    settings = make_settings()
    blobs = BlobStore(settings)
    await stored(database, blobs, 3)
    orphan, announced = (f"jobs/{uuids.uuid7()}/{uuids.uuid7()}/attempt-1/result.json" for _ in range(2))
    for key in (orphan, announced, "health/other", "elsewhere/file"):
        await blobs.put(key, b"content")
    async with database.transaction() as session:
        await artifacts.announce(session, announced.rpartition("/")[0] + "/")

    report = await examine(settings)

    assert troubles(report) == {"storage.orphans": Level.WARNING}
    (finding,) = report.of("storage.orphans")
    assert finding.facts["keys"] == [orphan]


async def test_looking_for_orphans_walks_no_table(database: Database, connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO artifacts (id, owner_id, storage_key, filename, media_type, size, sha256)
        SELECT gen_random_uuid(), gen_random_uuid(), 'jobs/a/' || number || '/input/x', 'x', 'x', 1, 'x'
        FROM generate_series(1, 30000) AS number
    """)
    await connection.execute(
        "INSERT INTO doomed_prefixes SELECT 'jobs/b/' || number || '/', now() FROM generate_series(1, 30000) AS number"
    )
    await connection.execute("ANALYZE artifacts, doomed_prefixes")
    keys = [f"jobs/{letter}/{number}/input/x" for letter in "abc" for number in range(1, 11)]
    async with database.transaction() as session:
        unknown = await store.unknown_keys(session, keys)
        plan = await session.scalar(
            text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {store.UNKNOWN_KEYS.text}"), {"keys": keys}
        )

    assert unknown == sorted(f"jobs/c/{number}/input/x" for number in range(1, 11))
    # Both tables together have more than 800 pages.
    assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 300


async def test_samples_are_bounded_and_thoroughness_is_not(
    make_settings: MakeSettings, database: Database, tmp_path: Path
) -> None:
    settings = make_settings()
    blobs = BlobStore(settings)
    keys = await stored(database, blobs, 8)
    oldest = keys[0]
    await blobs.delete([oldest])
    # More than a page of a listing.
    for number in range(1100):
        file = tmp_path / "objects" / f"jobs/{uuids.uuid7()}/{number}"
        file.parent.mkdir(parents=True)
        file.touch()

    sampled = await examine(settings, Options(sample=5))
    thorough = await examine(settings, Options(thorough=True))

    assert sampled.of("storage.missing")[0].facts["looked_at"] == 5
    assert sampled.of("storage.missing")[0].level is Level.OK
    assert sampled.of("storage.orphans")[0].facts["looked_at"] == 5
    assert sampled.of("storage.scope")[0].level is Level.NOTE
    assert thorough.of("storage.missing")[0].facts["keys"] == [oldest]
    assert thorough.of("storage.orphans")[0].facts["looked_at"] == 1100 + 7
    assert thorough.of("storage.scope") == []
    assert len(thorough.of("storage.orphans")[0].facts["keys"]) == 100


async def test_a_bucket_is_sampled_in_the_same_way(make_settings: MakeSettings, database: Database, s3: object) -> None:
    settings = make_settings(**s3.settings(f"d-{uuids.uuid7().hex}").model_dump(exclude_unset=True))  # type: ignore[attr-defined]
    blobs = BlobStore(settings)
    keys = await stored(database, blobs, 4)
    orphan = f"jobs/{uuids.uuid7()}/left"
    await blobs.put(orphan, b"content")
    await blobs.delete([keys[1]])

    report = await examine(settings)

    assert troubles(report) == {"storage.missing": Level.ERROR, "storage.orphans": Level.WARNING}
    assert report.of("storage.missing")[0].facts["keys"] == [keys[1]]
    assert report.of("storage.orphans")[0].facts["keys"] == [orphan]
