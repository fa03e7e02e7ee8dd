"""The heartbeat on its own: what it is told in an awkward moment it still does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from helixnet.config import Settings
from helixnet.worker.heartbeat import Heartbeat
from tests.conftest import wait_until

# A process that is told to end at once, and then to stop, as a worker process is that is worn out by a runaway job.
TOLD_BOTH = """
import sys
from helixnet.config import Settings
from helixnet.worker.heartbeat import Heartbeat
from tests.worker.test_heartbeat import Runs

heartbeat = Heartbeat(Settings.model_validate({"database_url": sys.argv[1]}), Runs())
heartbeat.start()
assert heartbeat.wait_until_registered(60)
heartbeat.end_process()
heartbeat.stop()
"""


class Runs:
    """A holder of leases: counts what it is asked and told, and may do something while it proves its life."""

    claimed_ago: timedelta | None = None

    def __init__(self) -> None:
        self.beats = self.lost = 0
        self.at_next_beat: Callable[[], object] | None = None

    @property
    def pace(self) -> dict[str, float]:
        self.beats += 1
        if self.at_next_beat is not None:
            call, self.at_next_beat = self.at_next_beat, None
            call()
        return {}

    def stop_jobs(self, job_ids: list[UUID]) -> None:
        raise AssertionError("no job runs here")

    def lease_lost(self) -> None:
        self.lost += 1

    def stuck(self) -> bool:
        return False


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings.model_validate({"database_url": database_url, "heartbeat_seconds": 0.1})


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def heartbeat(settings: Settings, runs: Runs) -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(settings, runs)
    heartbeat.start()
    assert heartbeat.wait_until_registered(60)
    yield heartbeat
    heartbeat.stop()
    assert not heartbeat.is_alive()


def workers(settings: Settings) -> list[UUID]:
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM workers")]


def test_a_process_that_is_to_end_ends_also_when_it_is_stopped_meanwhile(settings: Settings) -> None:
    command = [sys.executable, "-c", TOLD_BOTH, settings.database_url.get_secret_value()]

    ended = subprocess.run(command, timeout=240, check=False)

    assert ended.returncode == os.EX_TEMPFAIL
    assert workers(settings) == []


def test_a_lease_that_is_given_up_while_it_is_confirmed_is_given_up(
    settings: Settings, heartbeat: Heartbeat, runs: Runs
) -> None:
    before = heartbeat.worker_id
    seen: list[UUID | None] = []

    def gives_up() -> None:
        heartbeat.renew()
        runs.at_next_beat = lambda: seen.append(heartbeat.worker_id)

    runs.at_next_beat = gives_up
    wait_until(lambda: seen and heartbeat.worker_id is not None, "it is back")

    assert seen == [None], "nothing could be claimed meanwhile"
    assert runs.lost == 1, "what ran was told"
    assert heartbeat.worker_id != before
    assert workers(settings) == [heartbeat.worker_id]


def test_a_heart_goes_on_whatever_its_holder_raises(settings: Settings, heartbeat: Heartbeat, runs: Runs) -> None:
    before = heartbeat.worker_id

    def fails() -> None:
        raise IndexError("deque mutated during iteration")

    runs.at_next_beat = fails
    wait_until(lambda: runs.at_next_beat is None, "it has failed")
    beats = runs.beats
    wait_until(lambda: runs.beats > beats, "it beats")

    assert heartbeat.worker_id == before
    assert workers(settings) == [before]
