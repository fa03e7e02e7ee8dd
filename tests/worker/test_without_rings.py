"""The broker is a doorbell: where it does not ring, workers look at the door themselves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from helixnet.stack.home import Home
from tests.conftest import Stack, is_alive, wait_until

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("drills")]


@contextmanager
def no_broker(stack: Stack) -> Iterator[None]:
    """Valkey is dead, and nobody starts it again until the block is over."""
    old = stack.part("valkey").pid
    with stack.frozen_supervisor():
        stack.kill("valkey")
        yield
    wait_until(lambda: stack.is_back("valkey", old), "the broker is back", 60)


def test_jobs_run_while_there_is_no_broker(own_stack: Stack) -> None:
    helix = own_stack.client()

    with no_broker(own_stack):
        jobs = [helix.submit("core.echo", {"message": str(number)}).job_id for number in range(3)]
        done = [helix.wait(job_id, 40) for job_id in jobs]

    assert [(job.status, job.attempt, job.result_content) for job in done] == [
        ("COMPLETED", 1, {"message": str(number)}) for number in range(3)
    ]


def test_jobs_run_while_the_process_that_hears_the_rings_is_frozen(own_stack: Stack) -> None:
    helix = own_stack.client()
    worker = own_stack.part("worker")

    worker.send_signal(signal.SIGSTOP)
    try:
        job = helix.wait(helix.submit("core.echo", {"message": "hello"}).job_id, 40)
    finally:
        worker.send_signal(signal.SIGCONT)

    assert (job.status, job.attempt) == ("COMPLETED", 1)


def test_a_worker_that_starts_without_a_broker_works_and_stays_though_its_children_die(
    own_stack: Stack, tmp_path: Path
) -> None:
    helix = own_stack.client()
    state = Home(own_stack.home).read_state()
    assert state is not None
    old = own_stack.part("worker").pid
    log = tmp_path / "log"
    with no_broker(own_stack), log.open("w") as output:
        own_stack.kill("worker")
        started = subprocess.Popen(
            [sys.executable, "-m", "helixnet", "worker", "--concurrency", "2"],
            env=os.environ | state,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        worker = psutil.Process(started.pid)
        job_id = helix.submit("core.sleep", {"seconds": 600}).job_id
        helix.wait(job_id, 60, until={"IN_PROGRESS"})
        assert own_stack.worker_of(job_id) in {child.pid for child in worker.children()}
        helix.cancel(job_id)
        assert helix.wait(job_id, 20).status == "CANCELLED"
        first = worker.children()
        for child in first:
            child.kill()

    wait_until(lambda: own_stack.is_back("worker", old), "the stack has its worker", 60)
    wait_until(lambda: sum(is_alive(child) for child in worker.children()) == 2, "the children are replaced", 60)
    assert not {child.pid for child in first} & {child.pid for child in worker.children() if is_alive(child)}
    worker.send_signal(signal.SIGTERM)
    assert started.wait(60) == 0, log.read_text()
