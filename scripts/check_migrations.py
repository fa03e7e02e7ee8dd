"""Bring an empty PostgreSQL to the newest migration, step by step, and judge each step and the end.

No step may endanger the release before, which is at work meanwhile, and the models may say no more than the tables.
With `--write MESSAGE`, write the migration that is missing instead.
"""

import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import migration_rules
import psycopg
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, event, inspect, make_url

from helixnet import migrations
from helixnet.stack.servers import Postgres

START_SECONDS = 30
# Before the first release there was no release before.
UNRELEASED = {"0001", "0002"}


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="helix-check-") as folder:
        sockets = Path(folder) / "run"
        sockets.mkdir(mode=0o700)
        server = Postgres(Path(folder) / "data", sockets, durable=False)
        server.initialize()
        process = subprocess.Popen(server.command(), cwd="/", stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + START_SECONDS
            while not server.answers():
                if time.monotonic() > end or process.poll() is not None:
                    raise SystemExit("PostgreSQL did not start")
                time.sleep(0.05)
            if words[:1] == ["--write"]:
                migrations.upgrade(server.url)
                migrations.revision(server.url, " ".join(words[1:]))
                return 0
            found = [danger for script in scripts() for danger in step(server.url, script)]
            for danger in found:
                print(danger, file=sys.stderr)
            migrations.check(server.url)
        except CommandError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            process.send_signal(server.stop_signal)
            process.wait(20)
    return 1 if found else 0


def scripts() -> list[Script]:
    """The migrations, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    return list(ScriptDirectory.from_config(config).walk_revisions())[::-1]


def step(database_url: str, script: Script, *, judge_all: bool = False) -> list[str]:
    """Run one migration, and answer what is dangerous in the statements that it really made."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    tables = inspect(engine).get_table_names()
    engine.dispose()
    transactions: list[list[str]] = [[]]

    def note(_connection: object, cursor: psycopg.Cursor[object], statement: str, *_rest: object) -> None:
        # What steps out of its transaction is one by itself.
        if cursor.connection.autocommit:
            transactions.extend(([statement], []))
        else:
            transactions[-1].append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        migrations.upgrade(database_url, script.revision)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    if script.revision in UNRELEASED and not judge_all:
        return []
    contracts = getattr(script.module, "contracts", ())
    # Alembic's own table is nobody else's.
    others = set(tables) - {"alembic_version"}
    found = migration_rules.dangers(itertools.chain(*transactions), others, contracts)
    found += [danger for one in transactions for danger in migration_rules.entangled(one, others)]
    return [f"{Path(script.path).name}: {danger}" for danger in found]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
