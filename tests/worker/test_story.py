"""The worker's log tells the story of a job, in the product's own words and order."""

import re
from uuid import UUID

from helixnet.processors.base import RetryPolicy
from helixnet.worker.attempt import backoff
from tests.conftest import Stack, wait_until


def test_a_completed_upload_is_told_from_start_to_end(stack: Stack) -> None:
    helix = stack.client()
    answer = stack.http(helix).post(
        "/api/v1/jobs/upload",
        files={
            "content_key": ("a.txt", b"The moon is far. The sun is farther."),
            "context_key": ("b.txt", b"sun"),
        },
    )
    accepted = answer.json()
    job = helix.wait(UUID(accepted["job_id"]), 30)

    story = [
        f"Job [{job.job_id}] status updated to IN_PROGRESS.",
        f"⬇️ Downloading file for content_key from storage key: {accepted['content_key']}",
        f"⬇️ Downloading file for context_key from storage key: {accepted['context_key']}",
        "🎬 Starting processing with text.analyze...",
        f"⬆️ Uploading result artifact to storage: {job.result_path}",
        f"✨ Job [{job.job_id}] completed and final status saved.",
    ]
    wait_until(lambda: story[-1] in stack.log, "the end is told")
    told = stack.log
    places: list[int] = []
    for line in story:
        places.append(told.index(line, places[-1] if places else 0))
    assert places == sorted(places)
    assert job.result_path == f"jobs/{job.owner_id}/{job.job_id}/attempt-1/result.json"


def test_a_failure_is_told_as_such(stack: Stack) -> None:
    helix = stack.client()
    job = helix.wait(helix.submit("core.fail", {"kind": "reject"}).job_id, 30)

    wait_until(lambda: f"Job [{job.job_id}] status updated to FAILED." in stack.log, "the failure is told")
    assert job.status == "FAILED"


def test_no_secret_is_in_the_log(stack: Stack) -> None:
    stack.client()

    assert re.search(r"eyJ[A-Za-z0-9_-]{20,}", stack.log) is None, "a token"
    assert "$2b$" not in stack.log


def test_the_backoff_grows_to_its_bound_with_jitter() -> None:
    policy = RetryPolicy()
    waits = [[backoff(policy, attempt) for _ in range(200)] for attempt in range(1, 40)]

    for attempt, some in enumerate(waits, start=1):
        ceiling = min(policy.first * 2 ** (attempt - 1), policy.longest)
        assert max(some) <= ceiling
        assert min(some) >= ceiling / 2
        assert len(set(some)) > 100, "no two clients wait the same time"
