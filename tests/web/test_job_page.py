"""The form for any processor, and what a job's page shows of its work, over HTTP with a third party's processors."""

import html
import re
from collections.abc import Iterator
from uuid import UUID

import httpx2
import pytest

from helixnet.client import Client
from tests.conftest import Stack
from tests.web.plugin.acme_tools import PNG

SKETCH = ("sketch.png", b"\x89PNG a sketch", "image/png")
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def browser(acme: Stack) -> Iterator[httpx2.Client]:
    """A browser without scripts, signed in as demo."""
    with httpx2.Client(base_url=acme.url, timeout=20) as browser:
        assert browser.post("/login", data={"email": "demo@helix.net", "password": "demo"}).status_code == 303
        word = re.search(r'"X-CSRF-Token": "([0-9a-f]+)"', browser.get("/").text)
        assert word
        browser.headers["X-CSRF-Token"] = word[1]
        yield browser


@pytest.fixture
def helix(acme: Stack) -> Client:
    return acme.client()


@pytest.fixture(scope="module")
def drawn(acme: Stack, browser: httpx2.Client) -> UUID:
    """A job of acme.draw that is COMPLETED."""
    form = {"processor": "acme.draw", "fields_of": "acme.draw", "params.copies": "2", "params.title": "<i>House</i>"}
    answer = browser.post("/jobs", files={"file.sketch": SKETCH}, data=form)
    assert answer.status_code == 303, answer.text
    job = acme.client().wait(UUID(answer.headers["location"].rpartition("/")[2]), 30)
    assert job.status == "COMPLETED", job.error
    return job.job_id


def artifact(helix: Client, job_id: UUID, name: str) -> str:
    """The address of one of the job's outputs."""
    (found,) = [item for item in helix.artifacts(job_id) if item.filename == name and item.direction == "output"]
    return f"/jobs/{job_id}/artifacts/{found.id}"


def test_choosing_a_processor_brings_its_description_its_files_and_its_parameters(browser: httpx2.Client) -> None:
    text = browser.get("/jobs/form", params={"processor": "acme.draw"}, headers=HTMX).text

    assert "Draws what it is told to." in text
    assert '<input type="hidden" name="fields_of" value="acme.draw">' in text
    sketch = re.search(r'<input id="file-0" name="file\.sketch"[^>]*>', text)
    assert sketch
    assert all(word in sketch[0] for word in ('accept="image/*"', "required", 'data-largest="100000"'))
    assert "up to 97.7 KiB" in text
    assert re.search(r'<input id="param-1" name="params.copies"[^>]* min="1" max="9" required>', text)
    assert re.search(r'name="params.shiny"[^>]* type="checkbox" value="true" checked>', text)
    assert '<option value="green" selected>' in text
    assert "What stands above it." in text
    labels, fields = re.findall(r'<label[^>]* for="([^"]+)"', text), re.findall(r'(?<!aria-)\bid="([^"]+-\d+)"', text)
    assert labels == fields
    assert not re.search(r"<script|\bstyle=|\son\w+=", text)


def test_a_processor_that_is_not_there_has_no_form(browser: httpx2.Client) -> None:
    answer = browser.get("/jobs/form", params={"processor": "no.such"}, headers=HTMX)

    assert (answer.status_code, answer.headers["hx-retarget"]) == (422, "#notice")


def test_the_values_of_the_form_are_read_by_the_types_of_the_parameters(helix: Client, drawn: UUID) -> None:
    job = helix.job(drawn)

    assert (job.params["copies"], job.params["title"], job.params["shiny"]) == (2, "<i>House</i>", False)
    assert job.result_content["read"] == {"sketch": 13}


def test_parameters_that_do_not_fit_are_told_beside_their_fields(browser: httpx2.Client, helix: Client) -> None:
    before = helix.jobs(limit=1).items
    form = {
        "processor": "acme.draw",
        "fields_of": "acme.draw",
        "params.copies": "20",
        "params.sizes": '[{"width": "<wide>"}]',
        "params.title": "x",
    }

    answer = browser.post("/jobs", files={"file.sketch": SKETCH}, data=form, headers=HTMX)

    assert (answer.status_code, answer.headers["hx-retarget"]) == (422, "#notice")
    told = dict(re.findall(r'<p class="field-error" id="(param-\d)-error" hx-swap-oob="true">(.*?)</p>', answer.text))
    assert len(told) == 10
    assert told["param-1"] == "Input should be less than or equal to 9"
    assert told["param-8"].startswith("0.width: Input should be a valid integer")
    assert told["param-0"] == ""
    assert "<wide>" not in answer.text
    assert helix.jobs(limit=1).items == before


def test_a_form_that_shows_another_processors_fields_is_refused_in_words(browser: httpx2.Client) -> None:
    form = {"processor": "acme.draw", "fields_of": "core.echo", "params.message": "x"}

    answer = browser.post("/jobs", files={"file.sketch": SKETCH}, data=form, headers=HTMX)

    assert (answer.status_code, "still shows the fields of core.echo" in answer.text) == (422, True)


def test_two_files_for_one_role_are_refused(browser: httpx2.Client) -> None:
    form = {"processor": "acme.draw", "fields_of": "acme.draw", "params.copies": "2"}

    answer = browser.post("/jobs", files={"file.sketch": SKETCH, "sketch": SKETCH}, data=form, headers=HTMX)

    assert (answer.status_code, "two files for sketch" in answer.text) == (422, True)


def test_a_form_may_have_no_more_text_than_a_request(browser: httpx2.Client) -> None:
    form = {"processor": "core.echo", "fields_of": "core.echo"} | {
        f"params.x{number}": "y" * 90_000 for number in range(24)
    }

    answer = browser.post("/jobs", files={"": ("", b"")}, data=form, headers=HTMX)

    assert answer.status_code in (413, 422)
    assert "larger than" in answer.text


def test_a_processor_without_files_is_submitted_by_the_form(browser: httpx2.Client, helix: Client) -> None:
    parts = {"processor": "core.echo", "fields_of": "core.echo", "params.message": "one\r\ntwo"}
    answer = browser.post("/jobs", files={name: (None, value) for name, value in parts.items()})

    job = helix.wait(UUID(answer.headers["location"].rpartition("/")[2]), 30)

    assert job.result_content == {"message": "one\ntwo"}


def test_output_is_shown_as_one_text_and_not_line_by_line(browser: httpx2.Client, drawn: UUID) -> None:
    text = browser.get(f"/jobs/{drawn}").text

    output = re.search(r'<details class="card output"[^>]*>.*?<pre id="output-text"[^>]*>(.*?)</pre>', text, re.DOTALL)
    assert output
    assert html.unescape(output[1]) == "".join(f"piece {number} <b>&amp;</b> " for number in range(3))
    assert '<span class="kind">OUTPUT</span>' not in text
    assert text.index('id="result-title"') < text.index("output-text")
    assert "drawn" in text


def test_a_long_output_is_shown_by_its_end_and_a_long_history_by_its_latest_lines(
    acme: Stack, browser: httpx2.Client, helix: Client
) -> None:
    job_id = helix.wait(helix.submit("core.echo").job_id, 30).job_id
    acme.sql(
        """
        WITH told AS (
            INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
            SELECT id, events + number, owner_id,
                   CASE number %% 10 WHEN 0 THEN 'LOG' WHEN 1 THEN 'PROGRESS' ELSE 'OUTPUT' END, 1,
                   CASE number %% 10 WHEN 0 THEN json_build_object('message', 'line ' || number)
                                    WHEN 1 THEN json_build_object('fraction', 0.5, 'message', 'step ' || number)
                                    ELSE json_build_object('text', '[' || number || ']' || repeat('x', 100)) END
            FROM jobs CROSS JOIN generate_series(1, 3000) AS number
            WHERE id = %s
        )
        UPDATE jobs SET events = events + 3000 WHERE id = %s
        """,
        job_id,
        job_id,
    )

    text = browser.get(f"/jobs/{job_id}").text

    output = re.search(r'<pre id="output-text"[^>]*>(.*?)</pre>', text, re.DOTALL)
    assert output
    assert (len(output[1]), "[2999]" in output[1], "[2]x" in output[1]) == (64 * 1024, True, False)
    assert "Only the end of it is shown." in text
    assert len(re.findall(r'<li class="event ', text)) == 200
    assert "line 3000<" in text
    assert "line 10<" not in text
    more = re.search(r'href="(/jobs/[^"]+events=\d+)"', text)
    assert more
    assert "line 1010<" in browser.get(more[1]).text


def test_an_output_that_is_a_picture_is_shown_as_one(browser: httpx2.Client, helix: Client, drawn: UUID) -> None:
    address = artifact(helix, drawn, "picture.png")

    answer = browser.get(f"{address}/image")

    assert f'<img src="{address}/image" alt="picture.png"' in browser.get(f"/jobs/{drawn}").text
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert answer.headers["content-disposition"] == "inline"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("name", ["liar.png", "drawing.svg", "words.csv", "result.json"])
def test_what_is_no_picture_by_its_bytes_is_never_shown_inline(
    browser: httpx2.Client, helix: Client, drawn: UUID, name: str
) -> None:
    answer = browser.get(f"{artifact(helix, drawn, name)}/image")

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert b"alert(1)" not in answer.content


def test_an_input_is_not_shown_as_a_picture(browser: httpx2.Client, helix: Client, drawn: UUID) -> None:
    (sketch,) = [item for item in helix.artifacts(drawn) if item.direction == "input"]

    assert browser.get(f"/jobs/{drawn}/artifacts/{sketch.id}/image").status_code == 404


def test_the_beginning_of_a_text_is_shown_escaped(browser: httpx2.Client, helix: Client, drawn: UUID) -> None:
    address = artifact(helix, drawn, "words.csv")

    part = browser.get(f"{address}/preview", headers=HTMX).text
    whole = browser.get(f"{address}/preview")

    assert "The first 16.0 KiB of 39.1 KiB." in part
    shown = re.search(r"<pre[^>]*>(.*)</pre>", part, re.DOTALL)
    assert shown
    assert html.unescape(shown[1]).startswith("<b>word</b>,count\nx,1\n")
    assert len(html.unescape(shown[1])) == 16 * 1024
    assert "<b>word</b>" not in part
    assert shown[0] in whole.text
    assert "default-src 'none'" in whole.headers["content-security-policy"]
    assert browser.get(f"{artifact(helix, drawn, 'picture.png')}/preview").status_code == 404


@pytest.mark.parametrize("way", ["", "/image", "/preview"])
def test_somebody_elses_files_are_not_found(acme: Stack, helix: Client, drawn: UUID, way: str) -> None:
    name = "words.csv" if way == "/preview" else "picture.png"
    with httpx2.Client(base_url=acme.url) as chuck:
        chuck.post("/login", data={"email": "chuck@helix.net", "password": "chuck"})

        assert chuck.get(artifact(helix, drawn, name) + way).status_code == 404


def test_violations_are_a_table_of_path_and_message(browser: httpx2.Client, helix: Client) -> None:
    job_id = helix.wait(helix.submit("acme.crash", {"how": "violations"}).job_id, 30).job_id

    text = browser.get(f"/jobs/{job_id}").text

    rows = re.findall(r'<tr><td class="mono">(.*?)</td><td>(.*?)</td></tr>', text)
    assert [(html.unescape(path), html.unescape(message)) for path, message in rows] == [
        ("rows.3.price", "should be a number <3"),
        ("name", "is missing"),
    ]
    assert "&#34;checked&#34;: 2" in text
    assert "&#34;violations&#34;: [" not in text


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("reject", "Change the file or the parameters"),
        ("limit", "Hand over less at once"),
        ("upstream", "Retry the job later"),
        ("error", "Ask the operator"),
    ],
)
def test_the_page_of_a_failed_job_says_what_to_do(
    browser: httpx2.Client, helix: Client, kind: str, advice: str
) -> None:
    job_id = helix.wait(helix.submit("core.fail", {"kind": kind}, max_attempts=1).job_id, 30).job_id

    told = re.search(r'<p class="advice" id="advice">(.*?)</p>', browser.get(f"/jobs/{job_id}").text)

    assert told
    assert advice in told[1]
