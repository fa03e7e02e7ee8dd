"""Stack traces: kept for admins, and never told to anybody else, by whatever route they ask."""

from uuid import UUID

import httpx2
import pytest

from helixnet.client import Client
from tests.conftest import Stack

MARKS = ("Traceback (most recent call last)", "acme_tools.py", "in crash")
PAGES = ("/jobs/{job_id}", "/jobs/{job_id}?events=2000", "/", "/jobs?count=200", "/?status=FAILED")


@pytest.fixture
def helix(acme: Stack) -> Client:
    return acme.client()


@pytest.fixture
def admin(acme: Stack) -> Client:
    return acme.client("admin@helix.net", "admin")


@pytest.fixture(params=["acme.crash", "acme.apart"])
def failed(request: pytest.FixtureRequest, helix: Client) -> UUID:
    job = helix.wait(helix.submit(request.param, max_attempts=1).job_id, 30)
    assert (job.status, job.error and job.error.kind) == ("FAILED", "bug")
    return job.job_id


def shown_to_admins(acme: Stack, admin: Client, job_id: UUID) -> str:
    answer = acme.http(admin).get(f"/api/v1/jobs/{job_id}", params={"everyone": True})
    return str(answer.json()["traceback"])


def test_an_admin_reads_the_stack_trace_of_anybodys_job(acme: Stack, admin: Client, failed: UUID) -> None:
    traceback = shown_to_admins(acme, admin, failed)

    assert MARKS[0] in traceback
    assert "acme_tools.py" in traceback
    assert "RuntimeError: the-operators-own-words" in traceback


def test_an_admin_reads_the_stack_trace_of_an_own_job_without_asking_for_everybodys(admin: Client) -> None:
    job = admin.wait(admin.submit("core.fail", max_attempts=1).job_id, 30)

    assert MARKS[0] in (job.traceback or "")
    assert "core.py" in (job.traceback or "")


def test_no_route_of_the_api_tells_an_owner_the_stack_trace(acme: Stack, helix: Client, failed: UUID) -> None:
    http = acme.http(helix)
    batch = http.post("/api/v1/jobs/batch", json=[{"processor": "acme.crash", "max_attempts": 1}]).json()
    helix.wait(UUID(batch["job_ids"][0]), 30)
    job = helix.job(failed)
    assert job.error is not None
    assert job.error.fingerprint is not None
    names = {
        "job_id": failed,
        "batch_id": batch["batch_id"],
        "fingerprint": job.error.fingerprint,
        "name": "acme.crash",
    }
    told = {}

    for path, methods in http.get("/openapi.json").json()["paths"].items():
        if "get" in methods and path != "/api/v1/jobs/{job_id}/artifacts/{artifact_id}":  # a job that failed has none
            answer = http.get(path.format(**names), params={"limit": 50} if path.endswith("jobs") else {})
            assert answer.status_code == 200, path
            told[path] = answer.text
    for verb in ("retry", "cancel"):
        told[verb] = http.post(f"/api/v1/jobs/{failed}/{verb}").text

    assert "/api/v1/failures/{fingerprint}" in told
    assert job.error.fingerprint in told["/api/v1/failures"]
    assert "RuntimeError" in told["/api/v1/jobs/{job_id}/events"]
    assert [path for path, text in told.items() if any(mark in text for mark in MARKS)] == []
    assert helix.job(failed).traceback is None


def test_no_page_shows_an_owner_the_stack_trace_and_an_admin_finds_it_on_the_jobs_page(
    acme: Stack, failed: UUID
) -> None:
    with httpx2.Client(base_url=acme.url) as owner, httpx2.Client(base_url=acme.url) as admin:
        owner.post("/login", data={"email": "demo@helix.net", "password": "demo"})
        admin.post("/login", data={"email": "admin@helix.net", "password": "admin"})
        own = [
            owner.get(page.format(job_id=failed), headers=headers)
            for page in PAGES
            for headers in ({}, {"HX-Request": "true"})
        ]
        adminly = admin.get(f"/jobs/{failed}?everyone=true")

    assert {answer.status_code for answer in own} <= {200, 303}
    assert str(failed) in own[0].text
    assert not any(mark in answer.text for answer in own for mark in MARKS)
    assert MARKS[0] in adminly.text


def test_a_rejection_of_the_input_has_no_stack_trace(acme: Stack, admin: Client, helix: Client) -> None:
    job_id = helix.wait(helix.submit("core.fail", {"kind": "reject"}).job_id, 30).job_id

    assert shown_to_admins(acme, admin, job_id) == "None"


def test_a_later_failure_of_another_kind_is_not_told_with_the_stack_trace_of_the_first(
    acme: Stack, admin: Client, helix: Client
) -> None:
    job_id = helix.wait(helix.submit("acme.crash", max_attempts=1).job_id, 30).job_id
    acme.sql('UPDATE jobs SET params = \'{"how": "violations"}\' WHERE id = %s', job_id)
    helix.retry(job_id)
    helix.wait(job_id, 30)

    assert shown_to_admins(acme, admin, job_id) == "None"


def test_a_deleted_job_leaves_no_stack_trace(acme: Stack, helix: Client, failed: UUID) -> None:
    assert acme.sql("SELECT count(*) FROM job_tracebacks WHERE job_id = %s", failed) == [(1,)]

    helix.delete(failed)

    assert acme.sql("SELECT count(*) FROM job_tracebacks WHERE job_id = %s", failed) == [(0,)]
