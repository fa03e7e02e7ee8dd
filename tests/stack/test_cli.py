"""The command `helix` answers quickly."""

import subprocess
import sys

from tests.stack.conftest import clean_environment, helix

HEAVY = ("sqlalchemy", "celery", "fastapi", "alembic", "psycopg", "obstore")


def test_help_lists_the_commands() -> None:
    words = helix("--help").stdout.split()

    assert {"up", "web", "worker", "beat", "db", "users"} <= set(words)


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, helixnet.cli; print([name for name in {HEAVY!r} if name in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=clean_environment()) == "[]\n"
