"""Drills with a processor in a process of its own, which starts others that try to get away."""

import time
from uuid import UUID

import psutil
import pytest

from helixnet.client import Client
from tests.conftest import Stack, is_alive, wait_until

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("drills")]


def spawn(helix: Client) -> tuple[UUID, list[psutil.Process]]:
    """A job that runs, and every process that it started, once it has said so."""
    job_id = helix.submit("core.spawn", {"processes": 2, "detached": 2, "seconds": 300}).job_id
    pids: list[str] = []

    def has_told() -> bool:
        for event in helix.events(job_id, limit=100).items:
            if event.kind == "LOG" and event.data is not None:
                pids[:] = str(event.data["pids"]).split()
        return bool(pids)

    wait_until(has_told, "the job tells what it started", 30)
    return job_id, [psutil.Process(int(pid)) for pid in pids]


def test_cancelling_ends_an_isolated_job_and_all_that_it_started(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id, started = spawn(helix)
    asked = time.monotonic()

    helix.cancel(job_id)

    assert helix.wait(job_id, 10).status == "CANCELLED"
    took = time.monotonic() - asked
    assert len(started) == 5
    assert not any(is_alive(process) for process in started)
    assert took < 5, "cancelled within two seconds, and a machine that is busy elsewhere"
    assert helix.wait(helix.submit("core.echo").job_id, 20).status == "COMPLETED"


def test_a_killed_worker_process_takes_what_its_job_started_along(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id, started = spawn(helix)

    psutil.Process(own_stack.worker_of(job_id)).kill()

    wait_until(lambda: not any(is_alive(process) for process in started), "everything it started is gone", 10)
    helix.wait(job_id, 30, until={"IN_PROGRESS"})
    helix.cancel(job_id)
    assert helix.wait(job_id, 20).status == "CANCELLED"
