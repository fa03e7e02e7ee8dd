"""A backup is worth what comes back from it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from helixnet.client import Client
from helixnet.stack import backup
from helixnet.stack.backup import RestoreFailed
from tests.conftest import free_port
from tests.stack.conftest import clean_environment, helix

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def dumped(database_url: str, tmp_path: Path) -> Iterator[Path]:
    """A dump of the test's database, with one queue in it; what a restore leaves beside it is taken away."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO queues (name) VALUES ('of the backup')")
    file = tmp_path / "database.dump"
    command = [sys.executable, "-m", "helixnet", "db", "dump"]
    with file.open("wb") as out:
        subprocess.run(command, stdout=out, env=clean_environment(HELIX_DATABASE_URL=database_url), check=True)
    yield file
    name = conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(make_conninfo(database_url, dbname="postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}_before_restore")


def queues(database_url: str) -> set[str]:
    with psycopg.connect(database_url) as connection:
        return {str(row[0]) for row in connection.execute("SELECT name FROM queues")}


def test_what_was_dumped_comes_back_and_what_was_there_is_kept_beside_it(database_url: str, dumped: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM queues")
        connection.execute("INSERT INTO queues (name) VALUES ('of later')")
        connection.execute("CREATE TABLE of_a_newer_release ()")

    with dumped.open("rb") as source:
        before = backup.restore(database_url, source)

    assert "of the backup" in queues(database_url)
    assert "of later" not in queues(database_url)
    assert "of later" in queues(make_conninfo(database_url, dbname=before))
    assert helix("db", "check", HELIX_DATABASE_URL=database_url).returncode == 0, "nothing of a newer release is left"


def test_a_database_that_somebody_uses_is_not_replaced(database_url: str, dumped: Path) -> None:
    with (
        psycopg.connect(database_url, application_name="helixnet worker"),
        dumped.open("rb") as source,
        pytest.raises(RestoreFailed, match=r"connected to the database \(helixnet worker\): stop it first"),
    ):
        backup.restore(database_url, source)


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_dump_that_is_none_or_cut_short_changes_nothing(database_url: str, dumped: Path, part: float) -> None:
    content = dumped.read_bytes()
    dumped.write_bytes(content[: int(len(content) * part)])

    with dumped.open("rb") as source, pytest.raises(RestoreFailed, match="the dump can't be restored"):
        backup.restore(database_url, source)

    assert "of the backup" in queues(database_url)
    with psycopg.connect(database_url) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE '%restore%'").fetchall()
    assert names == []


@pytest.mark.drill
@pytest.mark.xdist_group("drills")
def test_make_restore_brings_back_jobs_and_files_of_the_local_stack(tmp_path: Path) -> None:
    port = free_port()
    home, backups = tmp_path / "home", tmp_path / "backups"
    environment = clean_environment(
        HELIX=str(Path(sys.executable).with_name("helix")),
        PYTHON_BIN=sys.executable,
        HOME_DIR=str(home),
        UP_ARGS=f"--port {port}",
        BACKUPS=str(backups),
        ON="local",
        PATH=os.environ["PATH"],
    )

    def stack(what: str, **more: str) -> "subprocess.CompletedProcess[str]":
        script = ["bash", str(ROOT / "scripts" / "stack.sh"), what]
        # Into files, not pipes: the stack outlives the script, and would hold them open.
        with (tmp_path / "out").open("w+") as out:
            done = subprocess.run(script, env=environment | more, stdout=out, stderr=out, timeout=300, check=False)
            out.seek(0)
            return subprocess.CompletedProcess(script, done.returncode, out.read())

    def client() -> Client:
        helix = Client(f"http://127.0.0.1:{port}")
        helix.sign_in("demo@helix.net", "demo")
        return helix

    started = stack("start")
    assert started.returncode == 0, started.stdout
    try:
        with client() as helix:
            kept = helix.upload(content=EXAMPLES / "content_file.txt", context=EXAMPLES / "context_file.txt").job_id
            result = helix.wait(kept, 60).result_content
            assert stack("backup").returncode == 0
            helix.delete(kept)
            later = helix.wait(helix.submit("core.echo", {"message": "later"}).job_id, 60).job_id
        (folder,) = backups.iterdir()

        restored = stack("restore", FROM=str(folder))

        assert restored.returncode == 0, restored.stdout
        with client() as helix:
            assert [job.job_id for job in helix.jobs().items] == [kept]
            assert later != kept
            assert helix.job(kept).result_content == result
            # Its files were deleted, and are read again.
            assert helix.wait(helix.replay(kept).job_id, 60).status == "COMPLETED"
    finally:
        assert stack("stop").returncode == 0


def test_a_folder_without_a_backup_is_refused_before_anything_is_stopped(tmp_path: Path) -> None:
    script = ["bash", str(ROOT / "scripts" / "stack.sh"), "restore"]
    environment = clean_environment(HELIX="/nonexistent", HOME_DIR=str(tmp_path), ON="local", FROM=str(tmp_path))

    refused = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)

    assert refused.returncode == 2
    assert f"there is no {tmp_path}/database.dump" in refused.stderr
