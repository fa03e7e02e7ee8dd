"""Migrations: they travel in the package, and bring any database to the tables that the code expects.

They run beside the code of the release before. So each is a transaction of its own, waits for no lock for long (whoever
comes behind a waiting one waits as well), tries again later instead, and leaves the tables fit for that code:
docs/how-to/upgrade.md.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from helixnet import log
from helixnet.db import Base
from helixnet.errors import CannotStart

LOCK_KEY = 0x48454C49584D4947  # "HELIXMIG": one migration at a time, whoever starts it
LOCK_TIMEOUT = "2s"
# How long to wait for another process that migrates, and for locks that long transactions hold.
PATIENCE_SECONDS = 600.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 10.0
# What another transaction did to ours, and may not do the next time.
PASSING = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
MODELS = ("helixnet.users.models", "helixnet.artifacts.models", "helixnet.jobs.models", "helixnet.usage.models")

logger = log.logger("helix.migrations")


class MigrationBlocked(CannotStart):
    """Others would not let the migrations through for as long as we are patient."""


def upgrade(database_url: str, revision: str = "head", patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Bring the database to a revision, by default the newest; raises MigrationBlocked.

    Waits for another process that migrates already, and for locks, each up to `patience_seconds`. What was reached
    before an error stays: each migration is committed by itself. Tables that are newer than this code are left as they
    are: they serve the release before theirs too.
    """
    with _alembic(database_url) as (config, connection), _alone(connection, patience_seconds):
        at = _standing(config, connection)
        if not at.known:
            logger.warning("the tables are newer than this code, and stay", at=at.current, newest_here=at.newest)
            return
        end = time.monotonic() + patience_seconds
        for pause in _pauses():
            # Each time anew: a migration that steps out of its transaction may have said otherwise.
            connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.commit()
            try:
                command.upgrade(config, revision)
            except OperationalError as error:
                connection.rollback()
                if not isinstance(error.orig, PASSING):
                    raise
                if time.monotonic() + pause > end:
                    raise MigrationBlocked(
                        "a migration got no lock: end the long transactions of this database and try again"
                    ) from error
                logger.warning("a migration waits for a lock", error=log.first_line(error), again_in_seconds=pause)
                time.sleep(pause)
            else:
                return


@contextmanager
def _alone(connection: Connection, patience_seconds: float) -> Iterator[None]:
    """Migrate while the block runs, and nobody else; raises MigrationBlocked.

    Asked for again and again, never waited for: a session that waits in a statement would hold up the other's
    CREATE INDEX CONCURRENTLY, which waits for every statement that is older than itself.
    """
    end = time.monotonic() + patience_seconds
    for pause in _pauses():
        got = connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK_KEY})"))
        connection.commit()
        if got:
            break
        if time.monotonic() + pause > end:
            raise MigrationBlocked("another process migrates this database, and does not end")
        time.sleep(pause)
    try:
        yield
    finally:
        # A connection that is broken has lost the lock already.
        if not connection.invalidated:
            connection.rollback()
            connection.execute(text(f"SELECT pg_advisory_unlock({LOCK_KEY})"))
            connection.commit()


def _pauses() -> Iterator[float]:
    """Seconds to wait before each new try: longer and longer, and never the same for two that began together."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield random.uniform(0.5, 1) * pause  # noqa: S311 - spreads load, guards nothing
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def check(database_url: str) -> None:
    """Raise an Alembic CommandError when the database is behind, or the models say more than the migrations do."""
    with _alembic(database_url) as (config, _connection):
        command.check(config)


@dataclass(frozen=True, slots=True)
class Standing:
    """At which revision a database is (None: it has no tables), and which is the newest; `known` to this code?"""

    current: str | None
    newest: str
    known: bool


def standing(database_url: str) -> Standing:
    """At which revision the database is, in a moment and without locks."""
    with _alembic(database_url) as (config, connection):
        return _standing(config, connection)


def _standing(config: Config, connection: Connection) -> Standing:
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    newest = scripts.get_current_head() or ""
    known = {script.revision for script in scripts.walk_revisions()}
    return Standing(current, newest, current is None or current in known)


def revision(database_url: str, message: str) -> None:
    """Write a new migration with what the models have and the database lacks (for developers)."""
    with _alembic(database_url) as (config, _connection):
        command.revision(config, message, autogenerate=True)


def metadata() -> MetaData:
    """All tables, with every domain's models loaded; by name, as this layer may not import from above."""
    for module in MODELS:
        import_module(module)
    return Base.metadata


@contextmanager
def _alembic(database_url: str) -> Iterator[tuple[Config, Connection]]:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            yield config, connection
    finally:
        engine.dispose()
