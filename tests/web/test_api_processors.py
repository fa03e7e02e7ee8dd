"""Processors as the API shows them, and uploads for those of a third party, over HTTP against a running stack."""

import json
import socket
from uuid import UUID

import httpx2
import pytest
from jsonschema import Draft202012Validator

from helixnet.client import Client, ProblemError
from tests.conftest import Stack

SKETCH = ("sketch.png", b"\x89PNG a sketch", "image/png")
PALETTE = ("palette.txt", b"red, green", "text/plain")


@pytest.fixture
def helix(acme: Stack) -> Client:
    return acme.client()


@pytest.fixture
def http(acme: Stack, helix: Client) -> httpx2.Client:
    return acme.http(helix)


def draw(http: httpx2.Client, *parts: tuple[str, object]) -> httpx2.Response:
    """Send the parts of a form in this order."""
    files = [(name, value if isinstance(value, tuple) else (None, value)) for name, value in parts]
    return http.post("/api/v1/jobs/upload", files=files)


PROCESSOR = ("processor", "acme.draw")
COPIES = ("params", '{"copies": 2}')


def test_a_processor_is_shown_with_all_that_it_takes_and_may_use(helix: Client) -> None:
    shown = {processor.name: processor for processor in helix.processors()}

    assert {"core.echo", "text.analyze", "acme.draw", "acme.apart"} <= set(shown)
    drawing = shown["acme.draw"]
    assert (drawing.version, drawing.queue, drawing.isolation, drawing.limits) == ("7", "default", "inline", None)
    assert (drawing.time_limit_seconds, drawing.retry.max_attempts) == (1800, 3)
    assert drawing.inputs["sketch"].model_dump() == {
        "description": "A rough sketch.",
        "required": True,
        "media_types": ["image/*"],
        "max_bytes": 100_000,
    }
    assert drawing.outputs["*.png"].media_type == "image/png"
    assert shown["acme.apart"].limits is not None
    assert shown["acme.apart"].limits["memory_bytes"] == 2 * 1024**3
    assert (shown["core.echo"].development_only, shown["text.analyze"].development_only) == (True, False)
    assert helix.processor("acme.draw") == drawing


def test_the_schema_of_every_processors_parameters_is_a_json_schema(helix: Client) -> None:
    for processor in helix.processors():
        Draft202012Validator.check_schema(processor.params_schema)
    schema = helix.processor("acme.draw").params_schema
    assert schema["required"] == ["copies"]
    assert not list(Draft202012Validator(schema).iter_errors({"copies": 3}))
    assert list(Draft202012Validator(schema).iter_errors({"copies": 10}))


def test_a_processor_that_is_not_installed_is_not_found(helix: Client) -> None:
    with pytest.raises(ProblemError, match=r"There is no processor 'no\.such'") as caught:
        helix.processor("no.such")
    assert caught.value.status == 404


@pytest.mark.parametrize("path", ["/api/v1/processors", "/api/v1/processors/acme.draw"])
def test_an_answer_that_was_kept_is_not_sent_again(http: httpx2.Client, path: str) -> None:
    first = http.get(path)
    again = http.get(path, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    other = http.get(path, headers={"If-None-Match": '"other"'})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert other.json() == first.json()


def test_strangers_see_no_processors(acme: Stack) -> None:
    assert httpx2.get(f"{acme.url}/api/v1/processors").status_code == 401


def test_a_role_of_any_name_is_uploaded_and_an_optional_one_may_be_missing(http: httpx2.Client, helix: Client) -> None:
    both = draw(http, PROCESSOR, COPIES, ("sketch", SKETCH), ("palette", PALETTE)).json()
    one = draw(http, PROCESSOR, COPIES, ("sketch", SKETCH)).json()

    assert set(both["payload"]) == {"sketch", "palette"}
    assert (one["content_key"], one["context_key"]) == (None, None)
    assert helix.wait(UUID(both["job_id"]), 30).result_content["read"] == {"sketch": 13, "palette": 10}
    assert helix.wait(UUID(one["job_id"]), 30).result_content["read"] == {"sketch": 13}


def test_the_processor_may_come_after_the_files(http: httpx2.Client, helix: Client) -> None:
    job_id = draw(http, ("sketch", SKETCH), COPIES, PROCESSOR).json()["job_id"]

    assert helix.wait(UUID(job_id), 30).result_content["read"] == {"sketch": 13}


def test_a_text_without_questions_is_uploaded_alone(http: httpx2.Client, helix: Client) -> None:
    answer = http.post("/api/v1/jobs/upload", files={"content_key": ("a.txt", b"The log is kept in the tower.")})

    body = answer.json()
    assert answer.status_code == 201
    assert (body["context_key"], body["payload"]) == (None, {"content_key": body["content_key"]})
    assert helix.wait(UUID(body["job_id"]), 30).status == "COMPLETED"


def test_a_file_field_that_was_left_empty_is_no_file_and_leaves_no_object(http: httpx2.Client, acme: Stack) -> None:
    empty = ("", b"", "application/octet-stream")
    body = draw(http, PROCESSOR, COPIES, ("sketch", SKETCH), ("palette", empty), ("content_key", empty)).json()

    assert set(body["payload"]) == {"sketch"}
    stored = [path.name for path in acme.home.rglob(f"*{body['job_id']}/inputs/**/*") if path.is_file()]
    assert stored == ["sketch.png"]


LARGE = ("large.png", b"x" * 100_001, "image/png")
HUGE = ("huge.png", b"x" * 3_000_001, "image/png")
LETTER = ("letter.txt", b"Dear", "text/plain")


@pytest.mark.parametrize(
    ("parts", "status", "words"),
    [
        ([PROCESSOR, COPIES], 422, "acme.draw needs sketch, and was not given it (sketch: A rough sketch)."),
        ([PROCESSOR, COPIES, ("sketch", SKETCH), ("content_key", LETTER)], 422, "does not read content_key"),
        ([("content_key", LETTER), PROCESSOR, COPIES], 422, "does not read content_key; it takes palette, sketch."),
        ([PROCESSOR, ("sketch", LETTER)], 422, "sketch: acme.draw can't read letter.txt (text/plain)"),
        ([("sketch", LETTER), PROCESSOR], 422, "sketch: acme.draw can't read letter.txt (text/plain)"),
        ([PROCESSOR, ("sketch", LARGE)], 413, "large.png has more than 100,000 bytes; acme.draw takes at most 100,000"),
        ([("sketch", LARGE), PROCESSOR], 413, "large.png has 100,001 bytes; acme.draw takes at most 100,000"),
        ([("sketch", HUGE), PROCESSOR], 413, "larger than the limit of 3000000 bytes"),
        ([PROCESSOR, ("sketch", SKETCH), ("sketch", SKETCH)], 422, "two parts called 'sketch'"),
        ([PROCESSOR, ("surprise", SKETCH)], 422, "'surprise'"),
        ([PROCESSOR, ("params.copies", "2")], 422, "'params.copies'"),
        ([("processor", "no.such"), ("sketch", SKETCH)], 422, "There is no processor 'no.such'"),
    ],
)
def test_an_upload_that_does_not_fit_its_processor_is_refused_in_a_sentence(
    http: httpx2.Client, parts: list[tuple[str, object]], status: int, words: str
) -> None:
    answer = draw(http, *parts)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]


def test_a_file_over_its_roles_size_is_refused_before_it_is_whole(acme: Stack, http: httpx2.Client) -> None:
    head = (
        "POST /api/v1/jobs/upload HTTP/1.1\r\nHost: helix\r\nContent-Length: 2000000\r\n"
        f"Authorization: {http.headers['Authorization']}\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="processor"\r\n\r\nacme.draw\r\n'
        '--b\r\nContent-Disposition: form-data; name="sketch"; filename="a.png"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", acme.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"x" * 200_000)  # a tenth of what is announced, and no more

        assert connection.recv(12) == b"HTTP/1.1 413"


def test_a_batch_tells_the_lines_whose_files_do_not_fit(http: httpx2.Client) -> None:
    keys = draw(http, PROCESSOR, COPIES, ("sketch", SKETCH), ("palette", PALETTE)).json()["payload"]
    right = {"processor": "acme.draw", "params": {"copies": 1}, "inputs": {"sketch": keys["sketch"]}}
    wrong = right | {"inputs": {"sketch": keys["palette"]}}
    lost = right | {"inputs": {"sketch": "jobs/nobody/x"}}

    answer = http.post("/api/v1/jobs/batch", json=[right, wrong, lost, right])
    partial = http.post("/api/v1/jobs/batch?partial=true", json=[right, wrong, lost, right])

    assert answer.status_code == 422
    assert [(line["line"], line["message"]) for line in answer.json()["lines"]] == [
        (2, "sketch: acme.draw can't read palette.txt (text/plain); it takes image/*."),
        (3, "sketch: there is no stored file of yours under 'jobs/nobody/x'."),
    ]
    assert (partial.json()["size"], [line["line"] for line in partial.json()["rejected"]]) == (2, [2, 3])


def test_a_job_by_reference_is_held_against_its_processor(http: httpx2.Client) -> None:
    keys = draw(http, PROCESSOR, COPIES, ("sketch", SKETCH), ("palette", PALETTE)).json()["payload"]

    job = {"processor": "acme.draw", "params": {"copies": 1}, "inputs": {"sketch": keys["palette"]}}
    answer = http.post("/api/v1/jobs", json=job)

    assert (answer.status_code, "can't read palette.txt" in answer.json()["detail"]) == (422, True)


def test_the_upload_form_of_the_documentation_asks_for_no_file_that_a_processor_can_do_without(
    http: httpx2.Client,
) -> None:
    upload = http.get("/openapi.json").json()["paths"]["/api/v1/jobs/upload"]["post"]

    form = upload["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert "required" not in form
    assert form["additionalProperties"]["format"] == "binary"
    assert "/api/v1/processors/{name}" in json.dumps(form)
