"""What a migration may not do beside the release before, and what it may."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
import uuid_utils.compat as uuids

from helixnet.stack.servers import Postgres

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name: str) -> ModuleType:
    """A script of the project, as a module."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


RULES = script("migration_rules")
REFUSED = [
    "CREATE INDEX a ON jobs (id)",
    "CREATE UNIQUE INDEX a ON public.jobs (id) WHERE due",
    "CREATE\n  INDEX IF NOT EXISTS a\n  ON ONLY jobs (id)",
    "DROP INDEX a",
    "ALTER TABLE jobs ADD COLUMN a TEXT NOT NULL",
    "ALTER TABLE jobs ADD a TEXT NOT NULL",
    "ALTER TABLE jobs ADD COLUMN a UUID DEFAULT gen_random_uuid() NOT NULL",
    "ALTER TABLE jobs ADD COLUMN a TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp()",
    'ALTER TABLE "jobs" ALTER COLUMN a TYPE BIGINT',
    "ALTER TABLE jobs ALTER a SET DATA TYPE BIGINT",
    "ALTER TABLE jobs ALTER COLUMN a SET NOT NULL",
    "ALTER TABLE jobs RENAME COLUMN a TO b",
    "ALTER TABLE jobs RENAME TO work",
    "ALTER TABLE jobs DROP COLUMN a",
    "alter table if exists only jobs drop a",
    "DROP TABLE jobs",
    "ALTER TABLE jobs ADD CONSTRAINT a CHECK (b > 0)",
    "ALTER TABLE jobs ADD CONSTRAINT a FOREIGN KEY(b) REFERENCES users (id)",
    "ALTER TABLE jobs ADD CONSTRAINT a UNIQUE (b)",
    "ALTER TABLE jobs ADD PRIMARY KEY (b)",
    "UPDATE jobs SET due = false",
    "/* all */ DELETE FROM jobs -- really",
    "LOCK TABLE jobs",
    "TRUNCATE jobs",
    "VACUUM FULL jobs",
]
ALLOWED = [
    "CREATE INDEX CONCURRENTLY a ON jobs (id)",
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a ON jobs (id)",
    "CREATE INDEX a ON fresh (id)",
    "DROP INDEX CONCURRENTLY IF EXISTS a",
    "ALTER TABLE jobs ADD COLUMN a TEXT",
    "ALTER TABLE jobs ADD COLUMN a BOOLEAN DEFAULT false NOT NULL",
    "ALTER TABLE jobs ADD COLUMN a TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL",
    "ALTER TABLE jobs ALTER COLUMN a DROP NOT NULL",
    "ALTER TABLE jobs ALTER COLUMN a SET DEFAULT 1",
    "ALTER TABLE jobs ADD CONSTRAINT a CHECK (b IS NOT NULL) NOT VALID",
    "ALTER TABLE jobs VALIDATE CONSTRAINT a",
    "ALTER TABLE jobs ADD CONSTRAINT a UNIQUE USING INDEX a",
    "ALTER TABLE jobs DROP CONSTRAINT a",
    "ALTER TABLE fresh ALTER COLUMN a TYPE BIGINT",
    "INSERT INTO jobs (id) VALUES (1)",
    "CREATE TABLE fresh (id INTEGER NOT NULL)",
    "UPDATE alembic_version SET version_num='0003'",
    "SELECT 1 FROM jobs",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_endangers_the_release_before_is_refused(statement: str) -> None:
    assert len(RULES.dangers([statement], ["jobs", "users"])) == 1


@pytest.mark.parametrize("statement", ALLOWED)
def test_what_it_does_not_notice_is_allowed(statement: str) -> None:
    assert RULES.dangers([statement], ["jobs", "users"]) == []


def test_the_last_step_has_to_be_declared() -> None:
    step = ["ALTER TABLE jobs DROP COLUMN progress", "ALTER TABLE jobs DROP COLUMN params"]

    (danger,) = RULES.dangers(step, ["jobs"], contracts=["ALTER TABLE jobs DROP COLUMN progress"])

    assert "params" in danger


def test_one_transaction_locks_one_table() -> None:
    both = ["ALTER TABLE queues ADD COLUMN a TEXT", "ALTER TABLE jobs ADD COLUMN a TEXT"]

    (danger,) = RULES.entangled(both, ["jobs", "queues"])

    assert "locks jobs, queues" in danger
    assert RULES.entangled(both, ["jobs"]) == []
    assert RULES.entangled(both[:1] * 2, ["jobs", "queues"]) == []


def test_the_statements_are_those_that_a_migration_really_makes(postgres: Postgres) -> None:
    check = script("check_migrations")
    name = f"r_{uuids.uuid7().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            found = {one.revision: check.step(postgres.url_of(name), one, judge_all=True) for one in check.scripts()}
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    # The second is from before the first release, and shows what the rules are for.
    assert found["0001"] == []
    assert any("CREATE INDEX jobs_line_idx" in danger for danger in found["0002"])
    assert not any("deadlock" in danger for danger in found["0002"])
    assert any("UPDATE jobs SET due" in danger for danger in found["0002"])
    assert [danger for revision, dangers in found.items() if revision > "0002" for danger in dangers] == []
