"""A kernel without some of the walls: the others stand all the same, and the gap is told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from helixnet.walls import missing
from tests.conftest import is_alive
from tests.worker.hostile import DONE

ROOT = Path(__file__).parents[2]


def report(*hidden: str) -> tuple[dict[str, Any], str]:
    """What a worker reports whose kernel lacks these system calls, and its log. A neighbour survives it."""
    with psutil.Popen(["sleep", "300"]) as neighbour:
        command = [sys.executable, "-m", "tests.worker.poorer", str(neighbour.pid), *hidden]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert is_alive(neighbour)
        neighbour.kill()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.skipif(bool(missing()), reason=f"This kernel lacks walls: {missing()}")
def test_a_kernel_with_all_walls_is_well() -> None:
    found, log = report()

    assert found["missing"] == []
    assert [finding[:2] for finding in found["findings"]] == [["processors.walls", "ok"]]
    assert "a wall less" not in log


def test_without_landlock_files_are_in_reach_and_all_else_is_not() -> None:
    found, log = report("landlock_create_ruleset")

    assert found["outcomes"]["read"]["/etc/passwd"] == DONE
    assert found["outcomes"]["connect"]["tcp"] == "EACCES"
    assert found["outcomes"]["start"]["fork"] == "EAGAIN"
    assert {found["outcomes"]["disturb"][name] for name in ("kill", "keeper", "by descriptor", "trace")} == {"EPERM"}
    (gap,) = found["missing"]
    assert "there is no Landlock here" in gap
    assert log.count(gap) == 1
    assert [finding[:2] for finding in found["findings"]] == [["processors.walls", "warning"]]
    assert gap in found["findings"][0][2]


def test_without_filters_landlock_keeps_files_and_neighbours_out_of_reach() -> None:
    # The filter that hides the call is there already, so that only the isolated process goes without.
    found, log = report("seccomp")

    assert found["outcomes"]["read"]["/etc/passwd"] == "EACCES"
    assert found["outcomes"]["connect"]["tcp"] == "EACCES"
    assert {found["outcomes"]["disturb"][name] for name in ("kill", "keeper", "by descriptor", "trace")} == {"EPERM"}
    (gap,) = found["missing"]
    assert "no filters of system calls (seccomp) here" in gap
    assert log.count(gap) == 1
