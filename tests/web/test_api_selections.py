"""Many jobs at once, over HTTP against a running stack: retry, replay and cancel by a filter; failures by kind."""

import time
from datetime import UTC, datetime
from uuid import UUID

import httpx2
import pytest

from helixnet.client import Client
from helixnet.jobs.schemas import JobSubmission
from helixnet.jobs.states import Status
from tests.conftest import Stack

# What matches a filter is everything that an owner has: the tests take turns, on a stack of their own.
pytestmark = pytest.mark.xdist_group("drills")


@pytest.fixture
def helix(own_stack: Stack) -> Client:
    return own_stack.client("marcel@helix.net", "marcel")


@pytest.fixture
def http(own_stack: Stack, helix: Client) -> httpx2.Client:
    return own_stack.http(helix)


def run(helix: Client, count: int, processor: str, **params: object) -> UUID:
    """A batch that has ended."""
    batch_id = helix.submit_batch([JobSubmission(processor=processor, params=params) for _ in range(count)]).batch_id
    end = time.monotonic() + 30
    while not helix.batch(batch_id).finished:
        assert time.monotonic() < end, helix.batch(batch_id)
        time.sleep(0.05)
    return batch_id


def command(http: httpx2.Client, verb: str, **selection: object) -> dict[str, object]:
    answer = http.post(f"/api/v1/jobs/{verb}", json=selection)
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_failures_of_one_kind_are_counted_together_and_retried_together(http: httpx2.Client, helix: Client) -> None:
    rejected = run(helix, 3, "core.fail", kind="reject")
    helix.wait(helix.submit("core.fail", {"kind": "error"}, max_attempts=1).job_id, 30)

    kinds = {kind["error"]["kind"]: kind for kind in http.get("/api/v1/failures").json()["items"]}

    assert kinds["input"]["count"] == 3
    assert kinds["bug"]["count"] == 1
    assert kinds["bug"]["error"]["place"] == "helixnet.processors.core:fail"
    assert kinds["input"]["fingerprint"] != kinds["bug"]["fingerprint"]
    assert "trace" not in kinds["bug"]["error"]

    fingerprint = kinds["input"]["fingerprint"]
    alike = http.get(f"/api/v1/failures/{fingerprint}").json()
    assert ({job["error"]["kind"] for job in alike["items"]}, len(alike["items"])) == ({"input"}, 3)
    assert alike["items"][0]["job_id"] == kinds["input"]["latest_job_id"]
    assert alike["items"][2]["job_id"] == kinds["input"]["first_job_id"]

    assert command(http, "retry", fingerprint=fingerprint) == {"count": 3, "more": False, "next_cursor": None}
    end = time.monotonic() + 30
    while helix.batch(rejected).counts[Status.FAILED] != 3:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_replay_is_a_new_job_with_the_same_work(own_stack: Stack, http: httpx2.Client, helix: Client) -> None:
    files = {"content_key": ("a.txt", b"The moon is far away."), "context_key": ("b.txt", b"moon")}
    first = helix.wait(UUID(http.post("/api/v1/jobs/upload", files=files).json()["job_id"]), 30)

    answer = http.post(f"/api/v1/jobs/{first.job_id}/replay")

    assert answer.status_code == 201
    again = helix.wait(UUID(answer.json()["job_id"]), 30)
    assert again.job_id != first.job_id
    assert (again.status, again.payload) == ("COMPLETED", first.payload)
    assert again.result_content == first.result_content
    assert helix.events(again.job_id).items[0].data == {
        "reason": "replayed by the user",
        "replayed_from": str(first.job_id),
    }
    stranger = own_stack.http(own_stack.client("chuck@helix.net", "chuck"))
    assert stranger.post(f"/api/v1/jobs/{first.job_id}/replay").status_code == 404


def test_all_that_match_are_replayed(http: httpx2.Client, helix: Client) -> None:
    batch_id = run(helix, 4, "core.echo", message="again")

    assert command(http, "replay", batch_id=str(batch_id)) == {"count": 4, "more": False, "next_cursor": None}

    newest = [helix.wait(job.job_id, 30) for job in helix.jobs(limit=4).items]
    assert {(job.processor, job.status) for job in newest} == {("core.echo", "COMPLETED")}


def test_all_that_match_are_cancelled_and_nothing_else(http: httpx2.Client, helix: Client) -> None:
    later = "2099-01-01T00:00:00Z"
    waiting = [helix.submit("core.sleep", {"seconds": 1}, available_at=later).job_id for _ in range(3)]
    other = helix.submit("core.echo", available_at=later).job_id

    assert command(http, "cancel", processor="core.sleep", status="PENDING")["count"] == 3

    assert {helix.job(job_id).status for job_id in waiting} == {"CANCELLED"}
    assert helix.job(other).status == "PENDING"
    assert command(http, "cancel", created_after="2020-01-01T00:00:00Z")["count"] == 1


def test_the_client_goes_on_until_all_that_match_are_done(helix: Client) -> None:
    later = JobSubmission(processor="core.echo", available_at=datetime(2099, 1, 1, tzinfo=UTC), priority=1)
    batch_id = helix.submit_batch([later] * 10_000).batch_id
    others = [helix.submit("core.echo", available_at="2099-01-01T00:00:00Z").job_id for _ in range(2)]

    assert helix.cancel_all(processor="core.echo", status="PENDING") == 10_002

    assert helix.batch(batch_id).counts[Status.CANCELLED] == 10_000
    assert {helix.job(job_id).status for job_id in others} == {"CANCELLED"}


def test_the_client_replays_and_counts_failures(helix: Client) -> None:
    failed = helix.wait(helix.submit("core.fail", {"kind": "reject"}).job_id, 30)
    assert failed.error is not None
    assert failed.error.fingerprint is not None

    again = helix.wait(helix.replay(failed.job_id).job_id, 30)

    assert again.error == failed.error
    kinds = {kind.fingerprint: kind for kind in helix.failures().items}
    assert kinds[failed.error.fingerprint].latest_job_id == again.job_id
    alike = helix.failed_alike(failed.error.fingerprint, limit=2)
    assert [job.job_id for job in alike.items] == [again.job_id, failed.job_id]
    assert helix.replay_all(fingerprint=failed.error.fingerprint) >= 2
    assert helix.retry_all(batch_id=again.job_id) == 0


def test_nobody_but_an_admin_who_says_so_commands_anothers_jobs(own_stack: Stack, helix: Client) -> None:
    job_id = helix.submit("core.sleep", {"seconds": 1}, available_at="2099-01-01T00:00:00Z").job_id
    stranger = own_stack.http(own_stack.client("chuck@helix.net", "chuck"))

    assert command(stranger, "cancel", processor="core.sleep")["count"] == 0
    assert stranger.post("/api/v1/jobs/cancel?everyone=true", json={"processor": "core.sleep"}).status_code == 403
    assert stranger.get("/api/v1/failures?everyone=true").status_code == 403
    assert helix.job(job_id).status == "PENDING"

    admin = own_stack.http(own_stack.client("admin@helix.net", "admin"))
    assert command(admin, "cancel", processor="core.sleep")["count"] == 0
    assert admin.post("/api/v1/jobs/cancel?everyone=true", json={"processor": "core.sleep"}).json()["count"] == 1
    assert helix.job(job_id).status == "CANCELLED"


@pytest.mark.parametrize(
    ("verb", "selection"),
    [
        ("cancel", {}),
        ("cancel", {"status": "COMPLETED"}),
        ("retry", {"status": "PENDING"}),
        ("retry", {"colour": "blue"}),
        ("retry", {"processor": "a\x00b"}),
        ("retry", {"cursor": "01990000-0000-7000-8000-0000000000aa"}),
        ("replay", {"created_after": "yesterday"}),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(http: httpx2.Client, verb: str, selection: dict[str, object]) -> None:
    assert http.post(f"/api/v1/jobs/{verb}", json=selection).status_code == 422
