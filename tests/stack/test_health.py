"""Health checks tell a part that works from one that doesn't."""

import pytest

from helixnet.config import Settings
from helixnet.stack import health, programs
from helixnet.stack.home import Home
from tests.conftest import Stack, free_port
from tests.stack.conftest import helix

pytestmark = pytest.mark.xdist_group("stack")


def test_the_parts_of_a_stack_that_runs_are_healthy(stack: Stack) -> None:
    state = Home(stack.home).read_state()
    assert state is not None
    settings = Settings.model_validate(programs.settings_in(state))

    assert helix("health", "web", "--port", stack.port).returncode == 0
    assert health.worker_lives(settings)
    assert health.beat_lives(settings)


def test_where_nothing_works_nothing_is_healthy(database_url: str) -> None:
    alone = Settings.model_validate({"database_url": database_url})
    nowhere = Settings.model_validate({"database_url": f"postgresql://helix@127.0.0.1:{free_port()}/helix"})
    asked = helix("health", "web", "--port", free_port())

    assert (asked.returncode, asked.stdout) == (1, "web does not do its work\n")
    for settings in (alone, nowhere):
        assert not health.worker_lives(settings)
        assert not health.beat_lives(settings)
    assert not health.http_answers(free_port(), "/livez")
