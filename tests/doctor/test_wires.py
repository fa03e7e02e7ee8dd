"""Each wire is broken for real, and the doctor says so."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis
import uuid_utils.compat as uuids
from psycopg import sql

from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.doctor import Level, examine
from helixnet.doctor.database import judge_clock, judge_transactions
from helixnet.doctor.storage import _follow
from helixnet.jobs.store.survey import OpenTransaction
from helixnet.stack.servers import Postgres, Valkey
from helixnet.users import service as users
from tests.conftest import S3Server, free_port
from tests.doctor.conftest import USUAL, troubles

pytestmark = pytest.mark.anyio
MakeSettings = Callable[..., Settings]


def alter(database_url: str, setting: str, value: str) -> None:
    """Set something for every new session of the test's database."""
    name = database_url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(sql.Identifier(name), sql.Identifier(setting), value)
        )


async def test_what_is_well_is_said_to_be_well(make_settings: MakeSettings) -> None:
    report = await examine(make_settings())

    assert troubles(report) == {}
    well = {finding.check for finding in report.findings if finding.level is Level.OK}
    assert well >= {
        "settings.needed",
        "settings.secret_key",
        "processors.load",
        "database.reachable",
        "database.version",
        "database.clock",
        "database.connections",
        "database.limits",
        "database.transactions",
        "database.migrations",
        "jobs.stuck",
        "broker.reachable",
        "cache.hints",
        "storage.works",
        "storage.missing",
        "storage.orphans",
    }
    assert {finding.check for finding in report.findings if finding.level is Level.ERROR} <= USUAL
    assert all(finding.advice for finding in report.findings if finding.level in (Level.WARNING, Level.ERROR))
    assert all("\n" not in finding.message + finding.advice for finding in report.findings)


async def test_a_database_that_is_away(make_settings: MakeSettings) -> None:
    address = f"postgresql://helix:hunter2pass@127.0.0.1:{free_port()}/helix"

    report = await examine(make_settings(database_url=address))

    assert troubles(report) == {"database.reachable": Level.ERROR}
    assert report.exit_code == 2
    assert "hunter2pass" not in repr(report.as_dict())
    # The rest was looked at all the same.
    assert [finding.level for finding in report.of("broker.reachable") + report.of("storage.works")] == [Level.OK] * 2


async def test_a_database_without_tables_and_one_that_is_ahead(
    make_settings: MakeSettings, database_url: str, postgres: Postgres
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    assert troubles(await examine(make_settings())) == {"database.migrations": Level.WARNING}

    name = f"e_{uuids.uuid7().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            report = await examine(make_settings(database_url=postgres.url_of(name)))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert troubles(report) == {"database.migrations": Level.ERROR}
    assert "helix db init" in report.of("database.migrations")[0].advice


@pytest.mark.parametrize(
    ("setting", "value", "check", "level"),
    [
        ("idle_session_timeout", "30s", "database.idle_session_timeout", Level.WARNING),
        ("transaction_timeout", "20s", "database.transaction_timeout", Level.WARNING),
        ("default_transaction_read_only", "on", "database.writable", Level.ERROR),
    ],
)
async def test_limits_of_the_database(
    make_settings: MakeSettings, database_url: str, setting: str, value: str, check: str, level: Level
) -> None:
    alter(database_url, setting, value)

    assert troubles(await examine(make_settings())) == {check: level}


async def test_a_limit_that_is_long_enough_is_left_alone(make_settings: MakeSettings, database_url: str) -> None:
    alter(database_url, "idle_session_timeout", "12h")

    assert troubles(await examine(make_settings())) == {}


async def test_transactions_that_stay_open_for_long(
    make_settings: MakeSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helixnet.doctor.database.LONG_TRANSACTION", timedelta(0))
    with psycopg.connect(database_url, application_name="a report") as connection:
        pid = connection.info.backend_pid
        connection.execute("SELECT 1")
        report = await examine(make_settings())
        connection.rollback()

    assert troubles(report) == {"database.transactions": Level.WARNING}
    (finding,) = report.of("database.transactions")
    assert f"a report (process {pid}, idle in transaction)" in finding.message
    assert f"pg_terminate_backend({pid})" in finding.advice
    assert troubles(await examine(make_settings())) == {}


def test_the_oldest_transaction_is_named_and_how_to_end_it() -> None:
    prepared = OpenTransaction(None, "two-phase\x1b[2J", "prepared", 7200)
    session = OpenTransaction(77, "", "active", 700)

    both = judge_transactions([prepared, session], sees_others=True)
    none = judge_transactions([], sees_others=False)

    assert "2 transactions have been open for long; for 2 h the prepared transaction two-phase" in both.message
    assert "\x1b" not in both.message
    assert "ROLLBACK PREPARED" in both.advice
    assert (none.level, "GRANT pg_read_all_stats" in none.message) == (Level.OK, True)


async def test_a_database_that_forgets_on_a_crash(make_settings: MakeSettings, database_url: str) -> None:
    (finding,) = (await examine(make_settings())).of("database.durability")

    assert finding.level is Level.ERROR
    assert "fsync, synchronous_commit, full_page_writes" in finding.message


async def test_accounts_whose_passwords_everybody_knows(make_settings: MakeSettings, database: Database) -> None:
    async with database.transaction() as session:
        await users.seed(session)

    assert troubles(await examine(make_settings())) == {}
    report = await examine(make_settings(profile="production"))

    assert troubles(report) == {"users.passwords": Level.ERROR}
    assert "chuck@helix.net" in report.of("users")[0].message


def test_clocks_that_differ_are_told_from_slow_answers() -> None:
    before = datetime(2026, 1, 1, tzinfo=UTC)
    after = before + timedelta(seconds=20)

    assert judge_clock(before, before + timedelta(seconds=9), after).level is Level.OK
    ahead = judge_clock(before, after + timedelta(seconds=7), after)
    behind = judge_clock(before, before - timedelta(minutes=2), after)
    assert (ahead.level, behind.level) == (Level.WARNING, Level.WARNING)
    assert (ahead.facts["skew_seconds"], behind.facts["skew_seconds"]) == (7, 120)


async def test_broker_and_cache_that_are_away(make_settings: MakeSettings) -> None:
    address = f"redis://:hunter2pass@127.0.0.1:{free_port()}/0"

    report = await examine(make_settings(broker_url=address, cache_url=address))

    assert troubles(report) == {"broker.reachable": Level.ERROR, "cache.reachable": Level.ERROR}
    assert "hunter2pass" not in repr(report.as_dict())


async def test_a_broker_and_cache_that_hang(make_settings: MakeSettings, own_valkey: Valkey) -> None:
    settings = make_settings(broker_url=own_valkey.broker_url, cache_url=own_valkey.cache_url)
    with redis.Redis(unix_socket_path=str(own_valkey.socket)) as client:
        began = time.monotonic()
        client.client_pause(60_000)
        report = await examine(settings)
        took = time.monotonic() - began

    assert troubles(report) == {"broker.reachable": Level.ERROR, "cache.reachable": Level.ERROR}
    assert took < 30


@pytest.mark.parametrize(
    ("options", "check"),
    [
        ({"timeout": 8}, "broker.timeout"),
        ({"maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}, "broker.eviction"),
    ],
)
async def test_settings_of_the_broker_that_harm(
    make_settings: MakeSettings, own_valkey: Valkey, options: dict[str, object], check: str
) -> None:
    with redis.Redis(unix_socket_path=str(own_valkey.socket)) as client:
        for name, value in options.items():
            client.config_set(name, value)

    report = await examine(make_settings(broker_url=own_valkey.broker_url))

    assert troubles(report) == {check: Level.WARNING}


async def test_a_cache_that_hands_on_no_hints(make_settings: MakeSettings, own_valkey: Valkey) -> None:
    with redis.Redis(unix_socket_path=str(own_valkey.socket)) as client:
        client.acl_setuser("deaf", enabled=True, passwords=["+deafpass"], commands=["+@all"], keys=["*"], reset=True)

    report = await examine(make_settings(cache_url=f"unix://deaf:deafpass@{own_valkey.socket}"))

    assert troubles(report) == {"cache.reachable": Level.ERROR}
    assert "channel" in report.of("cache")[0].message
    assert "deafpass" not in repr(report.as_dict())


async def test_rings_that_nobody_takes(make_settings: MakeSettings, own_valkey: Valkey) -> None:
    with redis.Redis(unix_socket_path=str(own_valkey.socket)) as client:
        client.rpush("helixnet.default", *(["{}"] * 1000))

    assert troubles(await examine(make_settings(broker_url=own_valkey.broker_url))) == {"broker.rings": Level.WARNING}


async def test_s3_that_works_and_its_links(make_settings: MakeSettings, s3: S3Server) -> None:
    report = await examine(make_settings(**s3.settings(f"d-{uuids.uuid7().hex}").model_dump(exclude_unset=True)))

    assert troubles(report) == {}
    assert f"127.0.0.1:{s3.port}" in report.of("storage.links")[0].message


async def test_a_host_of_links_that_cannot_be_reached(make_settings: MakeSettings) -> None:
    link = f"http://127.0.0.1:{free_port()}/helix/key?X-Amz-Signature=abc"

    finding = await _follow(link, b"content", make_settings())

    assert finding.level is Level.WARNING
    assert "X-Amz-Signature" not in finding.message
    assert "HELIX_STORAGE_ENDPOINT" in finding.advice


async def test_a_bucket_that_is_not_there(make_settings: MakeSettings, s3: S3Server) -> None:
    changes = s3.settings("any").model_dump(exclude_unset=True) | {"storage_url": "s3://no-such-bucket"}

    assert troubles(await examine(make_settings(**changes))) == {"storage.works": Level.ERROR}


async def test_a_folder_that_cannot_be_written(make_settings: MakeSettings) -> None:
    report = await examine(make_settings(storage_url="file:///proc/nowhere"))

    assert troubles(report) == {"storage.works": Level.ERROR}


async def test_the_doctor_leaves_nothing_behind(make_settings: MakeSettings, own_valkey: Valkey) -> None:
    settings = make_settings(broker_url=own_valkey.broker_url)
    await examine(settings)

    with redis.Redis(unix_socket_path=str(own_valkey.socket)) as client:
        assert client.keys("*doctor*") == []
    assert await BlobStore(settings).keys("health/") == []
