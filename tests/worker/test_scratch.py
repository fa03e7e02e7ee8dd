"""Scratch folders: none stays for ever, whatever becomes of the process that made it."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helixnet.worker.files import SCRATCH_PREFIX, Scratch, bury_scratch
from tests.conftest import Stack, wait_until

pytestmark = pytest.mark.anyio

# A worker process in the middle of an inline attempt, as far as its scratch folder goes.
AT_WORK = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from helixnet.worker.files import Scratch
scratch = Scratch()
(scratch.folder / "half").write_text("done")
print(scratch.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_killed_process_is_buried_and_no_other(folder_of_all: Path) -> None:
    others = folder_of_all / "helix-other"
    others.mkdir()
    own = Scratch().folder
    command = [sys.executable, "-c", AT_WORK, str(folder_of_all)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        left = Path(worker.stdout.readline().strip())
        bury_scratch()
        assert (left / "half").exists(), "while its process lives nobody touches it"

        worker.kill()
        worker.wait()
        bury_scratch()

    assert not left.exists()
    assert own.exists()
    assert others.exists()


def test_a_folder_without_rights_is_buried_too(folder_of_all: Path) -> None:
    left = folder_of_all / f"{SCRATCH_PREFIX}left"
    (left / "a").mkdir(parents=True)
    (left / "a" / "b").write_text("x")
    (left / "a").chmod(0)

    bury_scratch()

    assert not left.exists()


async def test_a_scratch_folder_is_removed_when_its_attempt_ends(folder_of_all: Path) -> None:
    scratch = Scratch()
    folder = scratch.folder

    await scratch.remove()

    assert folder_of_all in folder.parents
    assert not folder.exists()


@pytest.mark.drill
@pytest.mark.xdist_group("drills")
def test_a_worker_that_starts_buries_what_dead_ones_left(own_stack: Stack) -> None:
    left = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
    (left / "half").write_text("done")

    worker = own_stack.part("worker").children()[0]
    worker.kill()

    wait_until(lambda: not left.exists(), "the process that takes its place has buried it", 30)
