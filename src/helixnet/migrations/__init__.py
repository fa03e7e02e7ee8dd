"""Migrations: they travel in the package, and bring any database to the tables that the code expects."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, NullPool, create_engine, make_url, text

from helixnet.db import Base

LOCK_KEY = 0x48454C49584D4947  # "HELIXMIG": one migration at a time, whoever starts it
LOCK_TIMEOUT = "10s"
MODELS = ("helixnet.users.models", "helixnet.artifacts.models", "helixnet.jobs.models")


def upgrade(database_url: str) -> None:
    """Bring the database to the newest revision; it waits for another process that does so already."""
    with _alembic(database_url) as (config, connection):
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_KEY})"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        command.upgrade(config, "head")


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
        scripts = ScriptDirectory.from_config(config)
        current = MigrationContext.configure(connection).get_current_revision()
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
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        yield config, connection
    engine.dispose()
