"""Drills: parts of a running HelixNet are killed in the middle of a job, and the job still ends as it should.

Those of the broker are in test_brokers.py.
"""

import os
import signal
import time
from uuid import UUID

import psutil
import pytest

from helixnet.client import Client
from helixnet.jobs.schemas import JobView
from tests.conftest import Stack, is_alive, wait_until

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("drills")]

STATES = {"PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"}


def start_sleeping(helix: Client, seconds: float = 3) -> UUID:
    """A job that sleeps, once it is under way."""
    job_id = helix.submit("core.sleep", {"seconds": seconds}).job_id
    helix.wait(job_id, 20, until={"IN_PROGRESS"})
    return job_id


def states(helix: Client, job_id: UUID) -> list[str]:
    return [event.kind for event in helix.events(job_id, limit=1000).items if event.kind in STATES]


def assert_completed_once(helix: Client, job: JobView, attempt: int) -> None:
    assert (job.status, job.attempt) == ("COMPLETED", attempt)
    assert job.result_content == {"slept_seconds": 3.0}
    kinds = states(helix, job.job_id)
    assert kinds.count("COMPLETED") == 1
    assert kinds[-1] == "COMPLETED"
    assert kinds.count("IN_PROGRESS") == attempt


def test_a_killed_pool_child_costs_an_attempt_and_no_job(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = start_sleeping(helix)

    children = own_stack.part("worker").children()
    for child in children:
        child.kill()

    job = helix.wait(job_id, 40)
    assert len(children) == 2
    assert_completed_once(helix, job, attempt=2)


def test_a_killed_worker_costs_an_attempt_and_no_job(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = start_sleeping(helix)
    children = own_stack.part("worker").children()

    own_stack.kill("worker")

    assert_completed_once(helix, helix.wait(job_id, 40), attempt=2)
    assert not any(is_alive(child) for child in children), "no child outlives its worker"
    assert "worker ended: starting it again" in own_stack.log


def test_a_killed_beat_costs_nothing(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = start_sleeping(helix)
    old = own_stack.part("beat").pid

    own_stack.kill("beat")

    assert_completed_once(helix, helix.wait(job_id, 40), attempt=1)
    wait_until(lambda: own_stack.is_back("beat", old), "beat is back")


def test_a_killed_web_costs_nothing_but_its_answers(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = start_sleeping(helix)
    old = own_stack.part("web").pid

    own_stack.kill("web")

    wait_until(lambda: own_stack.is_back("web", old), "the web is back")
    assert_completed_once(helix, helix.wait(job_id, 40), attempt=1)


def test_a_killed_postgres_loses_nothing_that_was_accepted(own_stack: Stack) -> None:
    helix = own_stack.client()
    accepted = [helix.submit("core.echo", {"message": str(number)}).job_id for number in range(20)]
    old = own_stack.part("postgres").pid

    own_stack.kill("postgres")

    wait_until(lambda: own_stack.is_back("postgres", old), "everything is back", 60)
    for number, job_id in enumerate(accepted):
        job = helix.wait(job_id, 60)
        assert (job.status, job.result_content) == ("COMPLETED", {"message": str(number)})
        assert states(helix, job_id).count("COMPLETED") == 1


def test_a_worker_that_slept_through_its_lease_changes_nothing_when_it_wakes(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = start_sleeping(helix)
    children = own_stack.part("worker").children()
    worker_of_job = own_stack.worker_of(job_id)
    (sleeper,) = [child for child in children if child.pid == worker_of_job]

    sleeper.suspend()
    wait_until(lambda: helix.job(job_id).attempt == 2, "another process took over", 40)
    sleeper.resume()

    assert_completed_once(helix, helix.wait(job_id, 40), attempt=2)
    wait_until(lambda: "the lease is lost" in own_stack.log, "the sleeper notices")


def test_a_job_over_its_time_limit_is_ended(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = helix.submit("core.sleep", {"seconds": 600}, max_attempts=1).job_id
    helix.wait(job_id, 20, until={"IN_PROGRESS"})

    own_stack.sql("UPDATE jobs SET deadline_at = now() - interval '1 minute' WHERE id = %s", job_id)

    job = helix.wait(job_id, 40)
    assert job.status == "FAILED"
    assert job.error is not None
    assert job.error.kind == "limit"


@pytest.mark.parametrize("stubborn", ["thread", "loop"])
def test_a_job_that_does_not_hear_is_ended_with_its_process(own_stack: Stack, stubborn: str) -> None:
    helix = own_stack.client()
    job_id = helix.submit("core.sleep", {"seconds": 300, "stubborn": stubborn}).job_id
    helix.wait(job_id, 20, until={"IN_PROGRESS"})
    deaf = psutil.Process(own_stack.worker_of(job_id))

    helix.cancel(job_id)

    assert helix.wait(job_id, 30).status == "CANCELLED"
    wait_until(lambda: not is_alive(deaf), "its process is gone")
    assert helix.wait(helix.submit("core.echo").job_id, 20).status == "COMPLETED"
    assert states(helix, job_id) == ["PENDING", "IN_PROGRESS", "CANCELLED"]


def test_a_thread_that_a_failed_job_leaves_behind_is_ended_with_its_process(own_stack: Stack) -> None:
    """Eight of them would leave no thread to anybody."""
    helix = own_stack.client()
    worker = own_stack.part("worker")
    before = {child.pid for child in worker.children()}

    job_id = helix.submit("core.fail", {"leaves_seconds": 600}, max_attempts=1).job_id

    assert helix.wait(job_id, 30).status == "FAILED"
    wait_until(lambda: len({child.pid for child in worker.children()} - before) == 1, "one process is another", 30)
    assert helix.wait(helix.submit("core.echo").job_id, 20).status == "COMPLETED"


def test_a_worker_that_is_stopped_waits_for_no_thread_that_goes_on(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = helix.submit("core.sleep", {"seconds": 600, "stubborn": "thread"}).job_id
    helix.wait(job_id, 20, until={"IN_PROGRESS"})
    worker = own_stack.part("worker")
    everyone = [worker, *worker.children()]

    worker.terminate()

    wait_until(lambda: not any(is_alive(process) for process in everyone), "everyone is gone", 40)
    assert "work goes on that can't be stopped" in own_stack.log
    wait_until(lambda: states(helix, job_id)[-2:] == ["PENDING", "IN_PROGRESS"], "another takes it up")
    helix.cancel(job_id)
    assert helix.wait(job_id, 30).status == "CANCELLED"


def test_stopping_leaves_no_process_and_hands_running_work_back(own_stack: Stack) -> None:
    helix = own_stack.client()
    job_id = start_sleeping(helix, seconds=600)
    assert own_stack.process is not None
    everyone = psutil.Process(own_stack.process.pid).children(recursive=True)
    before = time.monotonic()

    code = own_stack.stop()

    took = time.monotonic() - before
    wait_until(lambda: not any(is_alive(process) for process in everyone), "everyone is gone", 2)
    assert (code, took < 15) == (0, True)
    own_stack.start()
    kinds = states(own_stack.client(), job_id)
    assert kinds[:3] == ["PENDING", "IN_PROGRESS", "PENDING"], "handed back"
    own_stack.client().cancel(job_id)


def test_nothing_outlives_a_killed_supervisor(own_stack: Stack) -> None:
    assert own_stack.process is not None
    everyone = psutil.Process(own_stack.process.pid).children(recursive=True)

    os.kill(own_stack.process.pid, signal.SIGKILL)
    own_stack.process.wait()

    wait_until(lambda: not any(is_alive(process) for process in everyone), "everyone is gone", 20)
    own_stack.start()
    assert own_stack.is_ready()
