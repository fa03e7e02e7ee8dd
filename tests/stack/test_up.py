"""`helix up` and the commands around it, as a user runs them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import helixnet
from helixnet.stack.accounts import Account
from helixnet.stack.servers import Valkey
from tests.conftest import Stack, free_port, wait_until

pytestmark = pytest.mark.xdist_group("stack")

ACCOUNTS = ["admin@helix.net", "chuck@helix.net", "demo@helix.net", "marcel@helix.net"]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hx-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def helix(*words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HELIX_")}
    command = [sys.executable, "-m", "helixnet", *map(str, words)]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=240, check=False)


def test_a_second_start_on_a_home_says_so_and_ends(stack: Stack) -> None:
    second = helix("up", "--home", stack.home, "--port", free_port())

    assert second.returncode == 1
    assert f"HelixNet runs already on {stack.home}" in second.stderr


def test_a_taken_port_is_told_before_anything_starts(short_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        start = helix("up", "--home", short_folder / "home", "--port", port)

    assert start.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in start.stderr
    assert not (short_folder / "home" / "postgres").exists()


def test_commands_find_the_running_stack_of_a_home(stack: Stack) -> None:
    listed = helix("users", "list", "--home", stack.home)

    assert sorted(listed.stdout.split()) == ACCOUNTS
    assert helix("db", "check", "--home", stack.home).returncode == 0


def test_accounts_are_seeded_once_on_a_home_where_nothing_runs(short_folder: Path) -> None:
    first = helix("users", "seed", "--home", short_folder)
    second = helix("users", "seed", "--home", short_folder)
    listed = helix("users", "list", "--home", short_folder)

    for account in ACCOUNTS:
        assert f"✨ Created new account: {account}" in first.stderr
        assert f"👉 Account already exists: {account}" in second.stderr
    assert "[helix.auth][INFO]" in first.stderr
    assert "Created" not in second.stderr
    assert sorted(listed.stdout.split()) == ACCOUNTS


def test_production_gets_no_default_password(short_folder: Path) -> None:
    seeded = helix("users", "seed", "--home", short_folder, HELIX_PROFILE="production")
    listed = helix("users", "list", "--home", short_folder)

    assert "No accounts were made" in seeded.stdout
    assert listed.stdout == ""


@pytest.mark.parametrize("part", ["web", "worker", "beat"])
def test_a_part_without_its_settings_names_them(part: str) -> None:
    alone = helix(part)

    assert alone.returncode == 1
    assert "HELIX_DATABASE_URL" in alone.stderr
    assert "Traceback" not in alone.stderr


def test_a_setting_that_makes_no_sense_is_told_by_its_name() -> None:
    refused = helix("web", HELIX_SECRET_KEY="short")

    assert (refused.returncode, "HELIX_SECRET_KEY" in refused.stderr) == (1, True)
    assert "short" not in refused.stderr.replace("shorter", "")


def test_outside_servers_replace_the_embedded_ones(
    short_folder: Path, database_url: str, valkey: Valkey, tmp_path: Path
) -> None:
    outside = {
        "HELIX_DATABASE_URL": database_url,
        "HELIX_BROKER_URL": valkey.broker_url,
        "HELIX_CACHE_URL": valkey.cache_url,
        "HELIX_STORAGE_URL": f"file://{tmp_path}/objects",
    }
    stack = Stack(short_folder / "home", outside)
    stack.start()
    try:
        client = stack.client()
        accepted = client.submit("core.echo", {"message": "x" * 20_000})
        job = client.wait(accepted.job_id, 30)
        with pytest.raises(LookupError):
            stack.part("postgres")
        with pytest.raises(LookupError):
            stack.part("valkey")
    finally:
        code = stack.stop()

    assert (code, job.status) == (0, "COMPLETED")
    assert (tmp_path / "objects" / str(job.result_path)).exists()
    assert not (short_folder / "home" / "postgres").exists()


def test_a_home_deep_below_runs_on_sockets_with_short_names(short_folder: Path) -> None:
    deep = short_folder / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)

    assert helix("users", "seed", "--home", deep).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is root's alone")
def test_root_runs_on_a_home_that_others_can_not_reach(short_folder: Path) -> None:
    assert short_folder.stat().st_mode & 0o077 == 0
    seeded = helix("users", "seed", "--home", short_folder / "home")

    assert seeded.returncode == 0, seeded.stderr
    assert short_folder.stat().st_mode & 0o077 == 0, "nobody's folder was opened to others"
    assert (short_folder / "home" / "postgres").stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="the rest of the suite runs as an ordinary user already")
def test_an_ordinary_user_runs_it_as_well(short_folder: Path) -> None:
    entry = pwd.getpwnam("nobody")
    nobody = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    home = short_folder / "home"
    home.mkdir()
    nobody.own(short_folder)

    seeded = subprocess.run(
        nobody.command([sys.executable, "-m", "helixnet", "users", "seed", "--home", str(home)]),
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert seeded.returncode == 0, seeded.stderr
    assert "✨ Created new account: demo@helix.net" in seeded.stderr
    assert (home / "postgres").stat().st_uid == entry.pw_uid


def test_the_web_starts_anew_when_the_code_changes(short_folder: Path) -> None:
    stack = Stack(short_folder / "home", arguments=("--reload",))
    stack.start()
    try:
        said = len(stack.log)
        Path(helixnet.__file__).touch()

        wait_until(lambda: "Application startup complete" in stack.log[said:], "the web has started anew")
        assert httpx2.get(f"{stack.url}/livez").status_code == 200
    finally:
        code = stack.stop()

    assert code == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", stack.port)) != 0, "the reloader left its server behind"


def test_the_secrets_of_a_home_are_for_its_user_alone(stack: Stack) -> None:
    assert (stack.home / "secret_key").stat().st_mode & 0o077 == 0
    assert (stack.home / "run" / "stack.json").stat().st_mode & 0o077 == 0
    assert (stack.home / "secret_key").read_text() not in stack.log


def test_a_start_that_is_interrupted_leaves_nothing(short_folder: Path) -> None:
    command = [sys.executable, "-m", "helixnet", "up", "--home", str(short_folder / "home"), "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as start:
        wait_until((short_folder / "home" / "run" / "lock").exists, "it has begun")
        start.send_signal(signal.SIGTERM)
        start.wait(20)

    remaining = subprocess.run(["pgrep", "-f", str(short_folder)], capture_output=True, text=True, check=False)
    assert remaining.stdout == ""
