"""Health checks tell a part that works from one that a new start may mend."""

from pathlib import Path

import pytest

from helixnet.stack.health import http_answers
from helixnet.stack.home import Home
from tests.conftest import Stack, free_port
from tests.stack.conftest import helix

pytestmark = pytest.mark.xdist_group("stack")


def test_the_parts_of_a_stack_that_runs_are_healthy(stack: Stack) -> None:
    state = Home(stack.home).read_state()
    assert state is not None
    web, worker = helix("health", "web", "--port", stack.port), helix("health", "worker", **state)

    assert (web.returncode, web.stdout) == (0, "web answers\n")
    assert worker.returncode == 0, worker.stderr
    assert "processes alive" in worker.stdout


@pytest.mark.parametrize("part", ["web", "flower"])
def test_what_does_not_answer_is_not_healthy(part: str) -> None:
    asked = helix("health", part, "--port", free_port())

    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr == f"helix health: {part} does not answer\n"
    assert not http_answers(free_port(), "/livez")


def test_a_worker_that_the_ledger_does_not_know_is_not_healthy(database_url: str) -> None:
    known = {"HELIX_DATABASE_URL": database_url, "HELIX_BROKER_URL": "redis://127.0.0.1/0"}
    asked = helix("health", "worker", **known)

    assert asked.returncode == 1
    assert "no process of this worker is in the ledger" in asked.stderr


def test_beat_tells_of_its_rounds_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    before = helix("health", "beat", HELIX_PROGRESS_FILE=str(file))
    file.touch()
    after, unset = helix("health", "beat", HELIX_PROGRESS_FILE=str(file)), helix("health", "beat")

    assert (before.returncode, before.stderr) == (1, "helix health: beat has not ended a round yet\n")
    assert after.returncode == 0, after.stderr
    assert (unset.returncode, "HELIX_PROGRESS_FILE" in unset.stderr) == (1, True)
