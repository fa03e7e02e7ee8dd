"""Migrations beside the code of before: on its data, while it works, and against whoever holds locks."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uuid_utils.compat as uuids

from helixnet import migrations
from helixnet.migrations import LOCK_KEY, MigrationBlocked
from helixnet.stack.servers import Postgres
from tests.conftest import Stack, wait_until
from tests.migrations.earlier import EarlierWorker, submit
from tests.stack.conftest import clean_environment, helix

FIRST = "0001"
# Of a test, on a machine that has much else to do.
PATIENCE_SECONDS = 120
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def first(postgres: Postgres) -> Iterator[str]:
    """The address of a database at the first revision."""
    name = f"u_{uuids.uuid7().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        migrations.upgrade(postgres.url_of(name), FIRST)
        yield postgres.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def other(first: str) -> Iterator[Connection]:
    """Somebody else's session."""
    with psycopg.connect(first) as connection:
        yield connection


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def waits_for_a_lock(url: str) -> bool:
    (row,) = ask(url, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER%'")
    return bool(row[0])


@pytest.mark.drill
@pytest.mark.xdist_group("drills")
def test_jobs_of_before_are_worked_off_through_an_upgrade(first: str, other: Connection, tmp_path: Path) -> None:
    with psycopg.connect(first, autocommit=True) as connection:
        jobs = [submit(connection) for _ in range(300)]
        jobs += [submit(connection, delay_seconds=4) for _ in range(50)]
    earlier = EarlierWorker(first)
    earlier.start()
    wait_until(lambda: len(earlier.finished) > 20, "the worker of before works", PATIENCE_SECONDS)

    # Somebody reads the jobs in a long transaction, so the migrations have to come again; and two start them at once.
    other.execute("SELECT count(*) FROM jobs").fetchall()
    command = [sys.executable, "-m", "helixnet", "db", "upgrade"]
    upgrades = [
        subprocess.Popen(command, env=clean_environment(HELIX_DATABASE_URL=first), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    wait_until(lambda: waits_for_a_lock(first), "a migration waits", PATIENCE_SECONDS)
    wait_until(lambda: not waits_for_a_lock(first), "it gives up waiting", PATIENCE_SECONDS)
    during = len(earlier.finished)
    wait_until(lambda: len(earlier.finished) > during + 20, "the others go on meanwhile", PATIENCE_SECONDS)
    other.rollback()
    said = [upgrade.communicate(timeout=PATIENCE_SECONDS)[1] for upgrade in upgrades]

    assert [upgrade.returncode for upgrade in upgrades] == [0, 0], said
    assert "a migration waits for a lock" in "".join(said)
    assert migrations.standing(first).current == migrations.standing(first).newest
    migrations.check(first)
    after = len(earlier.finished)
    wait_until(
        lambda: len(earlier.finished) > after + 20, "the worker of before works on the new tables", PATIENCE_SECONDS
    )
    earlier.ending.set()
    earlier.join(10)
    assert earlier.problems == []

    # Now the code of today takes over what is left, in a whole stack.
    with psycopg.connect(first, autocommit=True) as connection:
        jobs += earlier.submitted + [submit(connection) for _ in range(100)]
    stack = Stack(tmp_path / "home", {"HELIX_DATABASE_URL": first})
    stack.start()
    try:
        wait_until(
            lambda: ask(first, "SELECT count(*) FROM jobs WHERE status <> 'COMPLETED'") == [(0,)],
            "all jobs are done",
            PATIENCE_SECONDS,
        )
    finally:
        assert stack.stop() == 0, stack.log
    done = ask(first, "SELECT job_id, count(*) FROM job_events WHERE kind = 'COMPLETED' GROUP BY job_id")
    assert dict(done) == dict.fromkeys(jobs, 1)


def test_a_lock_that_does_not_end_is_said_and_nothing_is_changed(first: str, other: Connection) -> None:
    other.execute("SELECT count(*) FROM jobs").fetchall()

    with pytest.raises(MigrationBlocked, match="end the long transactions"):
        migrations.upgrade(first, patience_seconds=0.1)

    assert migrations.standing(first).current == FIRST
    other.rollback()
    migrations.upgrade(first, patience_seconds=0.1)
    assert migrations.standing(first).current != FIRST


def test_one_migrates_at_a_time(first: str, other: Connection) -> None:
    other.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
    with pytest.raises(MigrationBlocked, match="another process migrates"):
        migrations.upgrade(first, patience_seconds=0.1)
    assert migrations.standing(first).current == FIRST

    upgrade = threading.Thread(target=migrations.upgrade, args=(first,))
    upgrade.start()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    wait_until(lambda: ask(first, sessions)[0][0] >= 3, "the migration has come")
    # It asks and does not wait: a session that waits would hold up an index that is built CONCURRENTLY.
    assert ask(first, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [(0,)]
    other.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])
    other.commit()
    upgrade.join(20)

    assert not upgrade.is_alive()
    assert migrations.standing(first).current == migrations.standing(first).newest


def test_the_turn_is_given_back_also_after_an_error(first: str) -> None:
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute("CREATE TABLE batches (id integer)")  # in the way of the second migration
        with pytest.raises(Exception, match="batches"):
            migrations.upgrade(first)
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]).fetchone()

    assert row == (True,)
    assert migrations.standing(first).current == FIRST


def test_the_command_says_in_a_line_what_is_in_the_way(
    first: str, other: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from helixnet import cli

    upgrade: Callable[..., None] = migrations.upgrade
    monkeypatch.setattr(migrations, "upgrade", lambda url: upgrade(url, patience_seconds=0.1))
    monkeypatch.setenv("HELIX_DATABASE_URL", first)
    monkeypatch.setattr(sys, "argv", ["helix", "db", "upgrade"])
    other.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 1
    assert "another process migrates this database" in capsys.readouterr().err


def test_tables_that_are_newer_stay_and_the_code_of_before_comes_back(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    done = helix("db", "upgrade", HELIX_DATABASE_URL=database_url)

    assert done.returncode == 0, done.stderr
    assert "the tables are newer than this code" in done.stderr
    assert ask(database_url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_database_that_is_at_the_newest_revision_is_left_alone(database_url: str) -> None:
    done = helix("db", "upgrade", HELIX_DATABASE_URL=database_url)

    assert (done.returncode, done.stdout.strip()) == (0, "The database is at the newest migration.")
