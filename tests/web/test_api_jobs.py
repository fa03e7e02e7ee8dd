"""The jobs API as its users meet it, over HTTP against a running stack."""

import io
import json
import uuid
from pathlib import Path
from typing import IO

import httpx2
import pytest

from helixnet.client import Client, ProblemError
from tests.conftest import Stack

CONTENT = b"The lighthouse keeper wrote the log every night. The log is kept in the tower. Storms were frequent."
CONTEXT = b"Where is the log kept?"


@pytest.fixture
def helix(stack: Stack) -> Client:
    return stack.client()


@pytest.fixture
def http(stack: Stack, helix: Client) -> httpx2.Client:
    return stack.http(helix)


def upload(http: httpx2.Client, **fields: object) -> httpx2.Response:
    files = {"content_key": ("content.txt", CONTENT), "context_key": ("context.txt", CONTEXT)}
    return http.post("/api/v1/jobs/upload", files=files, data=fields)


def test_an_upload_is_answered_at_once_with_its_job_and_keys(http: httpx2.Client) -> None:
    answer = upload(http)

    assert answer.status_code == 201
    body = answer.json()
    assert body["status"] == "PENDING"
    assert body["payload"] == {role: body[role] for role in ("content_key", "context_key")}
    assert body["job_id"] in body["content_key"]


def test_an_uploaded_job_completes_with_the_stored_result(http: httpx2.Client, helix: Client) -> None:
    job_id = uuid.UUID(upload(http).json()["job_id"])

    job = helix.wait(job_id, 30)

    assert job.status == "COMPLETED"
    assert job.result_path is not None
    assert job.result_path.endswith("/result.json")
    (result,) = [item for item in helix.artifacts(job_id) if item.role == "result.json"]
    assert result.storage_key == job.result_path
    assert json.loads(b"".join(helix.download(job_id, result.id))) == job.result_content
    assert [
        item.kind for item in helix.events(job_id).items if item.kind.isupper() and item.kind not in ("LOG", "PROGRESS")
    ] == [
        "PENDING",
        "IN_PROGRESS",
        "COMPLETED",
    ]


def test_a_finished_upload_is_listed_first(http: httpx2.Client, helix: Client) -> None:
    job_id = upload(http).json()["job_id"]
    helix.wait(uuid.UUID(job_id), 30)

    newest = http.get("/api/v1/jobs", params={"limit": 1}).json()["items"][0]
    assert (newest["job_id"], newest["status"]) == (job_id, "COMPLETED")
    assert newest["result_path"].endswith("/result.json")


def test_stored_inputs_keep_name_size_and_content(http: httpx2.Client, helix: Client) -> None:
    job_id = uuid.UUID(upload(http).json()["job_id"])

    (content,) = [item for item in helix.artifacts(job_id) if item.role == "content_key"]

    assert (content.filename, content.size, content.direction) == ("content.txt", len(CONTENT), "input")
    assert b"".join(helix.download(job_id, content.id)) == CONTENT


def test_another_jobs_file_can_be_an_input(http: httpx2.Client, helix: Client) -> None:
    first = upload(http).json()

    accepted = helix.submit("text.analyze", inputs=first["payload"])

    assert helix.wait(accepted.job_id, 30).status == "COMPLETED"


def test_a_deleted_job_leaves_the_files_that_another_job_uses(http: httpx2.Client, helix: Client) -> None:
    first = upload(http).json()
    helix.wait(uuid.UUID(first["job_id"]), 30)
    second = helix.submit("text.analyze", inputs=first["payload"])
    helix.wait(second.job_id, 30)

    helix.delete(uuid.UUID(first["job_id"]))

    with pytest.raises(ProblemError, match="404"):
        helix.job(uuid.UUID(first["job_id"]))
    (content,) = [item for item in helix.artifacts(second.job_id) if item.role == "content_key"]
    assert b"".join(helix.download(second.job_id, content.id)) == CONTENT


@pytest.mark.parametrize(
    ("files", "fields", "words"),
    [
        ({"context_key": b"x"}, {}, "text.analyze needs content_key, and was not given it"),
        ({"content_key": b"x", "schema_key": b"y"}, {}, "text.analyze does not read schema_key"),
        ({}, {"processor": "text.analyze"}, ""),
        ({"content_key": b"x", "context_key": b"y", "surprise": b"z"}, {}, "'surprise'"),
        ({"content_key": b"x", "context_key": b"y"}, {"processor": "no.such"}, "There is no processor 'no.such'"),
        ({"content_key": b"x", "context_key": b"y"}, {"params": "{"}, "params is not JSON"),
        ({"content_key": b"x", "context_key": b"y"}, {"params": '{"colour": 1}'}, "do not fit text.analyze"),
        ({"content_key": b"x", "context_key": b"y"}, {"priority": "12"}, "A field of the form does not fit"),
    ],
)
def test_an_upload_that_makes_no_sense_is_refused_in_words(
    http: httpx2.Client, files: dict[str, bytes], fields: dict[str, str], words: str
) -> None:
    named = {role: (f"{role}.txt", content) for role, content in files.items()}
    answer = http.post("/api/v1/jobs/upload", files=named or {"": ("", b"")}, data=fields)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    if named:
        assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("submission", "words"),
    [
        ({"processor": "no.such"}, "There is no processor"),
        ({"processor": "core.echo", "params": {"message": 1}}, "do not fit core.echo"),
        ({"processor": "core.echo", "inputs": {"content_key": "x"}}, "does not read content_key"),
        ({"processor": "text.analyze"}, "needs content_key"),
        ({"processor": "text.analyze", "inputs": {"content_key": "jobs/nobody/x"}}, "no stored file of yours"),
        ({"processor": "core.echo", "priority": 10}, "does not fit"),
        ({"processor": "core.echo", "max_attempts": 0}, "does not fit"),
        ({"processor": "core.echo", "suprise": 1}, "does not fit"),
        ({}, "does not fit"),
    ],
)
def test_a_submission_that_makes_no_sense_is_refused_in_words(
    http: httpx2.Client, submission: dict[str, object], words: str
) -> None:
    answer = http.post("/api/v1/jobs", json=submission)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(r'{"processor": "core.echo\u0000"}', id="a NUL in the processor"),
        pytest.param(r'{"processor": "core.echo", "params": {"message": "\ud800"}}', id="a half surrogate in params"),
        pytest.param(r'{"processor": "\udfff"}', id="a half surrogate in the processor"),
        pytest.param(r'{"processor": "text.analyze", "inputs": {"content_key": "a\u0000"}}', id="a NUL in a key"),
        pytest.param(r'{"processor": "text.analyze", "inputs": {"content_key": "\ud800"}}', id="half a surrogate"),
        pytest.param(r'{"processor": "core.echo", "available_at": "9999999-01-01T00:00:00Z"}', id="a time far off"),
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="no object"),
    ],
)
def test_a_hostile_submission_is_refused_as_invalid(http: httpx2.Client, body: str) -> None:
    answer = http.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_a_filter_that_nothing_can_match_is_refused_as_invalid(http: httpx2.Client) -> None:
    assert http.get("/api/v1/jobs", params={"processor": "a\x00"}).status_code == 422


def test_text_that_postgresql_could_not_hold_comes_back_unharmed(helix: Client) -> None:
    message = "NUL \x00, quotes '\"; DROP TABLE jobs; --, \u202e and 💥"

    job = helix.wait(helix.submit("core.echo", {"message": message}).job_id, 30)

    assert job.result_content == {"message": message}


def test_somebody_elses_job_is_not_found(stack: Stack, helix: Client) -> None:
    job_id = helix.submit("core.echo").job_id
    stranger = stack.client("chuck@helix.net", "chuck")

    for call in (stranger.job, stranger.events, stranger.cancel, stranger.retry, stranger.delete, stranger.artifacts):
        with pytest.raises(ProblemError) as caught:
            call(job_id)
        assert caught.value.status == 404


def test_an_admin_sees_everybodys_jobs_when_asking_and_nobody_else_may_ask(stack: Stack, helix: Client) -> None:
    job_id = helix.submit("core.echo").job_id
    admin = stack.client("admin@helix.net", "admin")

    assert job_id in [job.job_id for job in admin.jobs(everyone=True, limit=200).items]
    assert job_id not in [job.job_id for job in admin.jobs(limit=200).items]
    with pytest.raises(ProblemError) as caught:
        helix.jobs(everyone=True)
    assert caught.value.status == 403


def test_pages_of_jobs_hold_each_job_once_newest_first(stack: Stack) -> None:
    marcel = stack.client("marcel@helix.net", "marcel")
    submitted = [marcel.submit("core.echo", {"message": str(number)}).job_id for number in range(7)]

    seen, cursor = [], None
    while True:
        page = marcel.jobs(limit=3, **({"cursor": cursor} if cursor else {}))
        seen += [job.job_id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen[: len(submitted)] == submitted[::-1]
    assert len(seen) == len(set(seen))


def test_lists_filter_by_state_and_processor(helix: Client) -> None:
    failed = helix.submit("core.fail", {"kind": "reject"}).job_id
    helix.wait(failed, 30)

    assert failed in [job.job_id for job in helix.jobs(status="FAILED").items]
    assert {job.status for job in helix.jobs(status="FAILED").items} == {"FAILED"}
    assert {job.processor for job in helix.jobs(processor="core.fail").items} == {"core.fail"}
    assert helix.jobs(processor="core.fail", status="COMPLETED", limit=1).items == []


def test_a_cursor_of_ones_own_making_is_refused(http: httpx2.Client) -> None:
    assert http.get("/api/v1/jobs", params={"cursor": "x' OR 1=1"}).status_code == 422


def test_a_running_job_is_cancelled_within_seconds(helix: Client) -> None:
    job_id = helix.submit("core.sleep", {"seconds": 60}).job_id
    helix.wait(job_id, 10, until={"IN_PROGRESS"})

    assert helix.cancel(job_id).cancel_requested_at is not None

    assert helix.wait(job_id, 10).status == "CANCELLED"


def test_a_job_that_runs_is_not_deleted(helix: Client) -> None:
    job_id = helix.submit("core.sleep", {"seconds": 60}).job_id
    helix.wait(job_id, 10, until={"IN_PROGRESS"})

    with pytest.raises(ProblemError, match="cancel it first"):
        helix.delete(job_id)

    helix.cancel(job_id)
    assert helix.wait(job_id, 10).status == "CANCELLED"


def test_a_rejected_job_tells_the_reason_and_can_be_retried(helix: Client) -> None:
    job = helix.wait(helix.submit("core.fail", {"kind": "reject"}).job_id, 30)

    assert (job.status, job.attempt) == ("FAILED", 1)
    assert job.error is not None
    assert (job.error.kind, job.error.message) == ("input", "This job was asked to be rejected.")
    assert helix.retry(job.job_id).status == "PENDING"
    assert helix.wait(job.job_id, 30).attempt == 2


def test_a_failing_job_is_tried_again_by_itself(helix: Client) -> None:
    job = helix.wait(helix.submit("core.fail", {"kind": "error", "times": 1}).job_id, 30)

    assert (job.status, job.attempt) == ("COMPLETED", 2)


def test_a_job_for_later_is_not_run_now(helix: Client) -> None:
    job_id = helix.submit("core.echo", available_at="2999-01-01T00:00:00Z").job_id
    helix.wait(helix.submit("core.echo").job_id, 30)

    assert helix.job(job_id).status == "PENDING"
    assert helix.cancel(job_id).status == "CANCELLED"


def test_a_large_result_is_shown_as_a_preview(helix: Client) -> None:
    job = helix.wait(helix.submit("core.echo", {"message": "x" * 500_000}).job_id, 30)

    assert job.result_content["truncated"] is True
    assert job.result_content["size"] > 500_000
    assert job.result_path is not None


def test_a_binary_file_fails_in_words_a_person_understands(http: httpx2.Client, helix: Client) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
    files: dict[str, tuple[str, IO[bytes] | bytes]] = {
        "content_key": ("picture.png", io.BytesIO(picture)),
        "context_key": ("context.txt", CONTEXT),
    }
    job_id = http.post("/api/v1/jobs/upload", files=files).json()["job_id"]

    job = helix.wait(uuid.UUID(job_id), 30)

    assert (job.status, job.attempt) == ("FAILED", 1)
    assert job.error is not None
    assert job.error.kind == "input"
    assert "PNG" in job.error.message


def test_a_body_over_its_limit_is_refused(http: httpx2.Client) -> None:
    answer = http.post("/api/v1/jobs", json={"processor": "core.echo", "params": {"message": "x" * 2_000_000}})

    assert answer.status_code == 413


def test_the_openapi_document_is_complete(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()

    flows = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]
    assert flows["password"]["tokenUrl"] == "/api/v1/auth/token"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation.get("summary"), where
            assert operation.get("description"), where
            success = [status for status in operation["responses"] if status.startswith("2")]
            assert len(success) == 1, where
            if path.startswith("/api/") and not path.endswith("/auth/token"):
                assert "401" in operation["responses"], where
                assert operation["security"], where


def test_an_example_stands_at_every_model_of_the_api(http: httpx2.Client) -> None:
    schemas = http.get("/openapi.json").json()["components"]["schemas"]

    wanted = {
        "JobSubmission",
        "JobAccepted",
        "UploadAccepted",
        "JobView",
        "JobPage",
        "EventPage",
        "Problem",
        "TokenAnswer",
    }
    assert wanted <= set(schemas)
    assert [name for name in wanted if not {"example", "examples"} & set(schemas[name])] == []


def test_an_upload_that_breaks_off_leaves_nothing(stack: Stack, helix: Client, tmp_path: Path) -> None:
    before = len(helix.jobs(limit=200).items)

    stack.send_half_an_upload(helix)

    assert len(helix.jobs(limit=200).items) == before
