"""A database out to a dump and back from it, by PostgreSQL's own programs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from helixnet.errors import CannotStart
from helixnet.stack.servers import ENVIRONMENT, postgres_program

# The database that every server has: nobody can rename the one that he is connected to.
MAINTENANCE = "postgres"
RESTORED, BEFORE = "_restored", "_before_restore"
LONGEST_MESSAGE = 2000


class RestoreFailed(CannotStart):
    """The database is as it was."""


def dump(database_url: str) -> int:
    """Write a dump of a database to the standard output, in the format that `pg_restore` takes; the exit code."""
    arguments, environment = _address(database_url)
    command = [str(postgres_program("pg_dump")), "--format=custom", *arguments]
    return subprocess.call(command, env=environment)  # noqa: S603 - our own words


def restore(database_url: str, source: BinaryIO) -> str:
    """Put the database of a dump in the place of the one that the address names; answers the name that it has now.

    The dump goes into a new database, which takes the name once it is whole. Raises RestoreFailed with the old one
    untouched: when somebody is connected to it, when the dump is none, or when the server refuses.
    """
    name = str(conninfo_to_dict(database_url).get("dbname", ""))
    made, before = name + RESTORED, name + BEFORE
    with _maintenance(database_url) as connection:
        _refuse_company(connection, name)
        connection.execute(_named("DROP DATABASE IF EXISTS {}", made))
        # As the server was made, whatever was put into its template since.
        connection.execute(_named("CREATE DATABASE {} TEMPLATE template0", made))
        try:
            _fill(make_conninfo(database_url, dbname=made), source)
            _refuse_company(connection, name)
            connection.execute(_named("DROP DATABASE IF EXISTS {}", before))
            with connection.transaction():
                connection.execute(_named("ALTER DATABASE {} RENAME TO {}", name, before))
                connection.execute(_named("ALTER DATABASE {} RENAME TO {}", made, name))
        except (RestoreFailed, psycopg.Error):
            connection.execute(_named("DROP DATABASE IF EXISTS {}", made))
            raise
    return before


@contextmanager
def _maintenance(database_url: str) -> "Iterator[psycopg.Connection[Any]]":
    try:
        with psycopg.connect(make_conninfo(database_url, dbname=MAINTENANCE), autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        raise RestoreFailed(f"PostgreSQL refused: {error}".rstrip()) from error


def _refuse_company(connection: "psycopg.Connection[Any]", name: str) -> None:
    asked = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = %s ORDER BY 1"
    others = [str(row[0]) or "a nameless session" for row in connection.execute(asked, [name])]
    if others:
        raise RestoreFailed(f"somebody is connected to the database ({', '.join(others)}): stop it first")


def _fill(database_url: str, source: BinaryIO) -> None:
    arguments, environment = _address(database_url)
    command = [str(postgres_program("pg_restore")), "--no-owner", "--exit-on-error", *arguments]
    done = subprocess.run(  # noqa: S603 - our own words
        command, env=environment, stdin=source, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise RestoreFailed(f"the dump can't be restored:\n{done.stderr[:LONGEST_MESSAGE]}".rstrip())


def _address(database_url: str) -> tuple[list[str], dict[str, str]]:
    """What names the database, for a command line, and the environment beside it."""
    address = conninfo_to_dict(database_url)
    # A process's arguments are for all to see, its environment for its user alone.
    environment = ENVIRONMENT | {"PGPASSWORD": str(address.pop("password", ""))}
    return [f"--dbname={make_conninfo('', **address)}"], environment


def _named(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))
