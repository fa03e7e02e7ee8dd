"""Queues as their users and admins meet them, over HTTP against a running stack."""

from collections.abc import Iterator

import httpx2
import pytest

from helixnet.client import Client
from tests.conftest import Stack, wait_until

QUEUES = "/api/v1/queues"

# A paused queue holds up every test that runs a job: these have a stack of their own.
pytestmark = pytest.mark.xdist_group("drills")


@pytest.fixture
def helix(own_stack: Stack) -> Client:
    return own_stack.client()


@pytest.fixture
def admin(own_stack: Stack, helix: Client) -> Iterator[httpx2.Client]:
    helix.wait(helix.submit("core.echo").job_id, 30)
    http = own_stack.http(own_stack.client("admin@helix.net", "admin"))
    yield http
    http.patch(f"{QUEUES}/default", json={"running_limit": None, "owner_running_limit": None})
    http.post(f"{QUEUES}/default/resume")


def test_nothing_of_a_paused_queue_starts_until_it_is_resumed(admin: httpx2.Client, helix: Client) -> None:
    assert admin.post(f"{QUEUES}/default/pause").json()["paused"] is True
    job_id = helix.submit("core.echo").job_id

    waiting = helix.job(job_id).waiting
    assert waiting is not None
    assert (waiting.reason, helix.job(job_id).status) == ("paused", "PENDING")

    assert admin.post(f"{QUEUES}/default/resume").json()["paused"] is False
    assert helix.wait(job_id, 30).status == "COMPLETED"


def test_a_limited_queue_runs_so_many_at_once(admin: httpx2.Client, helix: Client) -> None:
    assert admin.patch(f"{QUEUES}/default", json={"running_limit": 1}).json()["running_limit"] == 1
    jobs = [helix.submit("core.sleep", {"seconds": 1}).job_id for _ in range(2)]

    helix.wait(jobs[0], 20, until={"IN_PROGRESS"})
    wait_until(lambda: (held := helix.job(jobs[1]).waiting) and held.reason == "queue_limit", "the second waits")

    for job_id in jobs:
        assert helix.wait(job_id, 30).status == "COMPLETED"
    first, second = (helix.job(job_id) for job_id in jobs)
    assert first.finished_at is not None
    assert second.started_at is not None
    assert second.started_at >= first.finished_at


def test_everybody_sees_how_the_queues_stand(own_stack: Stack, admin: httpx2.Client, helix: Client) -> None:
    queues = own_stack.http(helix).get(QUEUES).json()["items"]

    (default,) = [queue for queue in queues if queue["name"] == "default"]
    assert (default["paused"], default["workers"], default["waiting"]) == (False, 2, 0)


def test_an_admins_client_pauses_limits_and_resumes(own_stack: Stack, admin: httpx2.Client, helix: Client) -> None:
    client = own_stack.client("admin@helix.net", "admin")
    assert client.pause_queue("default").paused
    helix.cancel(helix.submit("core.echo").job_id)
    waiting = helix.submit("core.echo").job_id
    (default,) = [queue for queue in client.queues() if queue.name == "default"]
    assert (default.paused, default.waiting, default.running) == (True, 1, 0)
    assert default.oldest_waiting_seconds is not None

    assert client.limit_queue("default", owner_running_limit=3).owner_running_limit == 3
    assert client.limit_queue("default", owner_running_limit=None).owner_running_limit is None
    assert not client.resume_queue("default").paused
    assert helix.wait(waiting, 30).status == "COMPLETED"


def test_what_runs_goes_on_while_its_queue_is_paused(admin: httpx2.Client, helix: Client) -> None:
    running = helix.submit("core.sleep", {"seconds": 1}).job_id
    helix.wait(running, 20, until={"IN_PROGRESS"})

    admin.post(f"{QUEUES}/default/pause")

    assert helix.wait(running, 30).status == "COMPLETED"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "default/pause"), ("POST", "default/resume"), ("PATCH", "default")]
)
def test_only_admins_change_queues(own_stack: Stack, helix: Client, method: str, path: str) -> None:
    answer = own_stack.http(helix).request(method, f"{QUEUES}/{path}", json={} if method == "PATCH" else None)

    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


def test_a_queue_that_never_had_a_job_is_not_found(admin: httpx2.Client) -> None:
    assert admin.post(f"{QUEUES}/nowhere/pause").status_code == 404


def test_a_limit_below_nothing_is_refused(admin: httpx2.Client) -> None:
    assert admin.patch(f"{QUEUES}/default", json={"running_limit": -1}).status_code == 422
