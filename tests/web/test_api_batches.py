"""Batches as their users meet them, over HTTP against a running stack."""

import json
import time
from collections.abc import Callable
from uuid import UUID

import httpx2
import pytest

from helixnet.client import Client, ProblemError
from helixnet.jobs.schemas import BatchView, JobSubmission
from helixnet.jobs.states import Status
from tests.conftest import Stack

LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def helix(stack: Stack) -> Client:
    return stack.client()


@pytest.fixture
def http(stack: Stack, helix: Client) -> httpx2.Client:
    return stack.http(helix)


def echo(message: object = "") -> dict[str, object]:
    return {"processor": "core.echo", "params": {"message": str(message)}}


def wait_for(helix: Client, batch_id: UUID, condition: Callable[[BatchView], bool], seconds: float = 60) -> BatchView:
    end = time.monotonic() + seconds
    while not condition(batch := helix.batch(batch_id)):
        assert time.monotonic() < end, batch
        time.sleep(0.05)
    return batch


def count_of_jobs(stack: Stack) -> object:
    return stack.sql("SELECT count(*) FROM jobs")[0][0]


def test_an_array_becomes_jobs_in_its_order(http: httpx2.Client, helix: Client) -> None:
    answer = http.post("/api/v1/jobs/batch", json=[echo(number) for number in range(5)])

    assert answer.status_code == 201
    body = answer.json()
    assert (body["size"], body["rejected"]) == (5, [])
    batch = wait_for(helix, UUID(body["batch_id"]), lambda batch: batch.finished)
    assert batch.counts == {"PENDING": 0, "IN_PROGRESS": 0, "COMPLETED": 5, "FAILED": 0, "CANCELLED": 0}
    messages = [helix.job(UUID(job_id)).result_content for job_id in body["job_ids"]]
    assert messages == [{"message": str(number)} for number in range(5)]


def test_ten_thousand_lines_are_accepted_at_once_and_all_of_them_run(helix: Client) -> None:
    submissions = [JobSubmission(processor="core.echo", params={"message": str(number)}) for number in range(10_000)]

    accepted = helix.submit_batch(submissions)

    assert accepted.size == len(set(accepted.job_ids)) == 10_000
    batch = wait_for(helix, accepted.batch_id, lambda batch: batch.finished)
    assert batch.counts[Status.COMPLETED] == 10_000
    assert helix.job(accepted.job_ids[-1]).result_content == {"message": "9999"}
    assert [event.kind for event in helix.events(accepted.job_ids[4711]).items] == [
        "PENDING",
        "IN_PROGRESS",
        "COMPLETED",
    ]


@pytest.mark.parametrize("form", ["array", "lines"])
def test_more_than_ten_thousand_are_refused_whole(http: httpx2.Client, stack: Stack, form: str) -> None:
    jobs = [echo() for _ in range(10_001)]
    before = count_of_jobs(stack)

    if form == "array":
        answer = http.post("/api/v1/jobs/batch", json=jobs)
    else:
        answer = http.post("/api/v1/jobs/batch", content="\n".join(map(json.dumps, jobs)), headers=LINES)

    assert answer.status_code == 413
    assert "at most 10000" in answer.json()["detail"]
    assert count_of_jobs(stack) == before


WRONG = [
    json.dumps(echo("right")),
    "",
    "{nonsense",
    json.dumps({"processor": "no.such"}),
    json.dumps({"processor": "core.sleep", "params": {"seconds": -1}}),
    json.dumps(echo() | {"priority": 12}),
    '{"processor": "core.echo", "params": {"message": "\\ud800"}}',
    json.dumps({"processor": "core.echo", "inputs": {"content_key": "jobs/x"}}),
    "[]",
    json.dumps(echo("right too")),
]
WRONG_LINES = [3, 4, 5, 6, 7, 8, 9]


def test_wrong_lines_are_told_by_number_and_nothing_is_entered(http: httpx2.Client, stack: Stack) -> None:
    before = count_of_jobs(stack)

    answer = http.post("/api/v1/jobs/batch", content="\n".join(WRONG), headers=LINES)

    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid"
    assert [line["line"] for line in problem["lines"]] == WRONG_LINES
    assert problem["rejected"] == len(WRONG_LINES)
    by_number = {line["line"]: line for line in problem["lines"]}
    assert "no.such" in by_number[4]["message"]
    assert by_number[5]["violations"][0]["path"] == "seconds"
    assert by_number[6]["violations"][0]["path"] == "priority"
    assert count_of_jobs(stack) == before


def test_a_line_longer_than_a_job_may_be_is_told_by_number(http: httpx2.Client) -> None:
    long = json.dumps(echo("x" * 3_000_000))

    answer = http.post("/api/v1/jobs/batch", content=f"{json.dumps(echo())}\r\n\r\n{long}\r\n{long}", headers=LINES)

    assert answer.status_code == 422
    assert [line["line"] for line in answer.json()["lines"]] == [3, 4]
    assert "at most 1048576 bytes" in answer.json()["lines"][0]["message"]


def test_an_array_with_wrong_elements_is_told_by_their_numbers(http: httpx2.Client) -> None:
    answer = http.post("/api/v1/jobs/batch", json=[echo(), {"processor": "no.such"}, echo(), None, echo("x" * 2**20)])

    assert answer.status_code == 422
    assert [line["line"] for line in answer.json()["lines"]] == [2, 4, 5]


def test_a_body_larger_than_the_limit_is_refused_while_it_streams_in(http: httpx2.Client, stack: Stack) -> None:
    before = stack.part("web").memory_info().rss

    answer = http.post("/api/v1/jobs/batch", content=(b" " * 2**20 for _ in range(66)), headers=LINES)

    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert stack.part("web").memory_info().rss < before + 40 * 2**20


@pytest.mark.parametrize("media_type", ["application/jsonl", "application/ndjson; charset=utf-8"])
def test_lines_go_by_other_names_too(http: httpx2.Client, media_type: str) -> None:
    answer = http.post("/api/v1/jobs/batch", content=json.dumps(echo()), headers={"Content-Type": media_type})

    assert answer.status_code == 201


def test_a_partial_batch_enters_what_is_right(http: httpx2.Client, helix: Client) -> None:
    answer = http.post("/api/v1/jobs/batch?partial=true", content="\n".join(WRONG), headers=LINES)

    assert answer.status_code == 201
    body = answer.json()
    assert [line["line"] for line in body["rejected"]] == WRONG_LINES
    batch = wait_for(helix, UUID(body["batch_id"]), lambda batch: batch.finished)
    assert (batch.size, batch.counts[Status.COMPLETED]) == (2, 2)


def test_a_partial_batch_without_a_right_line_is_refused(http: httpx2.Client) -> None:
    answer = http.post("/api/v1/jobs/batch?partial=true", json=[{"processor": "no.such"}])

    assert answer.status_code == 422
    assert answer.json()["lines"][0]["line"] == 1


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"[]", "application/json", 422),
        (b"", "application/x-ndjson", 422),
        (b"\n\n", "application/x-ndjson", 422),
        (b'{"processor": "core.echo"}', "application/json", 422),
        (b"[{", "application/json", 422),
        (b'[{"processor": "core.echo", "params": {"message": "\xff"}}]', "application/json", 422),
        (b"processor: core.echo", "application/yaml", 415),
    ],
)
def test_what_is_no_batch_is_refused_in_words(
    http: httpx2.Client, content: bytes, media_type: str, status: int
) -> None:
    answer = http.post("/api/v1/jobs/batch", content=content, headers={"Content-Type": media_type})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_text_that_postgresql_could_not_hold_in_a_document_passes_unharmed(helix: Client) -> None:
    message = "NUL \x00 and 💥"

    accepted = helix.submit_batch([JobSubmission(processor="core.echo", params={"message": message})])

    assert helix.wait(accepted.job_ids[0], 30).result_content == {"message": message}


def test_jobs_of_a_batch_may_read_stored_files_but_only_the_own_ones(stack: Stack, helix: Client) -> None:
    answer = stack.http(helix).post(
        "/api/v1/jobs/upload",
        files={"content_key": ("a.txt", b"The moon is far away."), "context_key": ("b.txt", b"moon")},
    )
    payload = answer.json()["payload"]
    submissions = [JobSubmission(processor="text.analyze", inputs=payload) for _ in range(3)]

    accepted = helix.submit_batch(submissions)

    assert wait_for(helix, accepted.batch_id, lambda batch: batch.finished).counts[Status.COMPLETED] == 3
    with pytest.raises(ProblemError) as refused:
        stack.client("marcel@helix.net", "marcel").submit_batch(submissions)
    assert "no stored file of yours" in refused.value.fields["lines"][0]["message"]


def test_a_batch_is_cancelled_and_retried_as_a_whole(helix: Client) -> None:
    asleep = [JobSubmission(processor="core.sleep", params={"seconds": 60}) for _ in range(6)]
    failing = [JobSubmission(processor="core.fail", params={"kind": "reject"}, priority=9)]
    accepted = helix.submit_batch([*failing, *asleep])
    wait_for(
        helix,
        accepted.batch_id,
        lambda batch: batch.counts[Status.IN_PROGRESS] == 2 and batch.counts[Status.FAILED] == 1,
    )

    assert helix.cancel_batch(accepted.batch_id) == 6
    batch = wait_for(helix, accepted.batch_id, lambda batch: batch.finished)
    assert (batch.counts[Status.CANCELLED], batch.counts[Status.FAILED]) == (6, 1)
    assert helix.cancel_batch(accepted.batch_id) == 0

    assert helix.retry_batch(accepted.batch_id) == 7
    wait_for(helix, accepted.batch_id, lambda batch: batch.counts[Status.IN_PROGRESS] == 2)
    helix.cancel_batch(accepted.batch_id)
    wait_for(helix, accepted.batch_id, lambda batch: batch.finished)


def test_a_batch_is_its_owners_alone(stack: Stack, helix: Client) -> None:
    accepted = helix.submit_batch([JobSubmission(processor="core.echo")])
    stranger = stack.client("marcel@helix.net", "marcel")

    for look in (stranger.batch, stranger.cancel_batch, stranger.retry_batch):
        with pytest.raises(ProblemError) as refused:
            look(accepted.batch_id)
        assert refused.value.status == 404


def test_batches_are_listed_newest_first_a_page_at_a_time(stack: Stack) -> None:
    helix = stack.client("chuck@helix.net", "chuck")
    made = [helix.submit_batch([JobSubmission(processor="core.echo")]).batch_id for _ in range(3)]
    http = stack.http(helix)

    first = http.get("/api/v1/batches?limit=2").json()
    second = http.get("/api/v1/batches", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    listed = [UUID(batch["batch_id"]) for batch in first["items"] + second["items"]]
    assert listed == made[::-1]
    assert second["next_cursor"] is None
