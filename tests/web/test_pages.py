"""The dashboard's pages over HTTP: sign-in, protection against forgery and injection, downloads, the live stream."""

import html
import json
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from uuid import UUID

import httpx2
import pytest
from fastapi import Response

from helixnet.client import Client
from helixnet.config import Settings
from helixnet.jobs.states import Status
from helixnet.web.pages import wisdom
from helixnet.web.pages.guard import local_path
from helixnet.web.pages.visitor import keep_cookie
from tests.conftest import Stack

COOKIE = "helix_session"
NO_JOB = "/jobs/01990000-0000-7000-8000-0000000000aa"
EVIL = "<script>alert('x')</script>"
LIVE = {"Accept": "text/event-stream"}
SignIn = Callable[..., httpx2.Client]


@pytest.fixture(scope="module")
def sign_in(stack: Stack) -> Iterator[SignIn]:
    """A browser without scripts, signed in as somebody; each account once, because bcrypt takes its time."""
    opened: dict[str, httpx2.Client] = {}

    def signed_in(name: str = "demo") -> httpx2.Client:
        if name not in opened:
            opened[name] = httpx2.Client(base_url=stack.url, timeout=20)
            answer = opened[name].post("/login", data={"email": f"{name}@helix.net", "password": name})
            assert answer.status_code == 303
        return opened[name]

    yield signed_in
    for browser in opened.values():
        browser.close()


@pytest.fixture
def browser(sign_in: SignIn) -> httpx2.Client:
    return sign_in()


@pytest.fixture
def helix(stack: Stack) -> Client:
    return stack.client()


def csrf(browser: httpx2.Client) -> str:
    """The word against forgery, read from a page as the browser's script does."""
    found = re.search(r'"X-CSRF-Token": "([0-9a-f]+)"', browser.get("/").text)
    assert found
    return found[1]


def submit(
    browser: httpx2.Client, filename: str = "content.txt", content: bytes = b"Storms. Logs.", **fields: str
) -> UUID:
    """Hand over two files in the form; answers the job's id."""
    files = {"content_key": (filename, content), "context_key": ("context.txt", b"Logs?")}
    answer = browser.post("/jobs", files=files, data=fields, headers={"X-CSRF-Token": csrf(browser)})
    assert answer.status_code == 303, answer.text
    return UUID(answer.headers["location"].rpartition("/")[2])


def test_a_visitor_is_led_to_the_sign_in_page_and_back_to_where_they_wanted(stack: Stack) -> None:
    with httpx2.Client(base_url=stack.url) as stranger:
        away = stranger.get(NO_JOB)
        assert (away.status_code, away.headers["location"]) == (303, f"/login?next={NO_JOB.replace('/', '%2F')}")

        form = stranger.get(away.headers["location"])
        assert f'name="next" value="{NO_JOB}"' in form.text
        assert "demo@helix.net" in form.text  # the hint of the development profile

        back = stranger.post("/login", data={"email": "demo@helix.net", "password": "demo", "next": NO_JOB})
        assert (back.status_code, back.headers["location"]) == (303, NO_JOB)


def test_a_wrong_password_is_told_on_the_page_and_opens_no_session(stack: Stack) -> None:
    with httpx2.Client(base_url=stack.url) as stranger:
        answer = stranger.post("/login", data={"email": "demo@helix.net", "password": "wrong"})

        assert answer.status_code == 401
        assert "The e-mail or the password is wrong." in answer.text
        assert 'value="demo@helix.net"' in answer.text
        assert not stranger.cookies


def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites(stack: Stack) -> None:
    answer = httpx2.post(f"{stack.url}/login", data={"email": "demo@helix.net", "password": "demo"})

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}


def test_over_https_the_session_cookie_is_bound_to_the_host() -> None:
    answer = Response()

    keep_cookie(answer, Settings(cookie_secure=True), "secret")

    assert answer.headers["set-cookie"].startswith(f"__Host-{COOKIE}=secret;")
    assert "; Secure" in answer.headers["set-cookie"]


def test_signing_out_ends_the_session_itself(stack: Stack) -> None:
    with httpx2.Client(base_url=stack.url) as browser:
        browser.post("/login", data={"email": "demo@helix.net", "password": "demo"})
        token = browser.cookies[COOKIE]
        assert browser.post("/logout", data={"csrf_token": csrf(browser)}).headers["location"] == "/login"

    again = httpx2.get(f"{stack.url}/", headers={"Cookie": f"{COOKIE}={token}"})

    assert again.headers["location"] == "/login"


@pytest.mark.parametrize(
    "path", ["/login", "/", NO_JOB, "/jobs/nonsense", "/?status=LOST", "/?everyone=true", "/wisdom"]
)
def test_every_page_carries_the_protecting_headers(browser: httpx2.Client, path: str) -> None:
    headers = browser.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"


def test_the_dashboard_names_every_state_and_its_daily_wisdom(browser: httpx2.Client) -> None:
    text = browser.get("/").text

    assert all(f"/?status={status}" in text for status in Status)
    assert '<div id="chuck-norris-joke">Fetching daily wisdom...</div>' in text
    assert browser.get("/wisdom").text in wisdom.LINES


def test_the_wisdom_changes_from_day_to_day() -> None:
    start = date(2026, 1, 1)

    month = [wisdom.line_of(start + timedelta(days=day)) for day in range(len(wisdom.LINES))]

    assert sorted(month) == sorted(wisdom.LINES)


def test_assets_are_addressed_by_their_content(browser: httpx2.Client) -> None:
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', browser.get("/").text)

    assert len(addresses) >= 5
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        assert browser.get(address).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "wörd"}])
def test_an_upload_without_the_word_against_forgery_is_refused(
    browser: httpx2.Client, helix: Client, headers: dict[str, str]
) -> None:
    before = helix.jobs(limit=1).items
    files = {"content_key": ("a.txt", b"a"), "context_key": ("b.txt", b"b")}

    in_utf8 = {name.encode(): value.encode() for name, value in headers.items()}
    answer = browser.post("/jobs", files=files, headers=in_utf8)

    assert answer.status_code == 403
    assert "reload the page" in answer.text
    assert [job.job_id for job in helix.jobs(limit=1).items] == [job.job_id for job in before]


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]
)
def test_a_form_sent_from_another_site_is_refused(browser: httpx2.Client, headers: dict[str, str]) -> None:
    signing_in = browser.post("/login", data={"email": "chuck@helix.net", "password": "chuck"}, headers=headers)
    signing_out = browser.post("/logout", data={"csrf_token": csrf(browser)}, headers=headers)

    assert (signing_in.status_code, signing_out.status_code) == (403, 403)
    assert "another site" in signing_out.text
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("path", ["", "/cancel", "/retry", "/delete"])
def test_somebody_elses_job_is_a_page_that_says_not_found(sign_in: SignIn, helix: Client, path: str) -> None:
    job_id = helix.submit("core.echo", {"message": "mine"}).job_id
    chuck = sign_in("chuck")
    form = {"csrf_token": csrf(chuck)} if path else None

    answer = chuck.request("POST" if path else "GET", f"/jobs/{job_id}{path}", data=form)

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is no such job." in answer.text


def test_an_admin_sees_everybodys_jobs_and_a_user_may_not(sign_in: SignIn, helix: Client) -> None:
    job_id = helix.submit("core.echo", {"message": "mine"}).job_id
    admin = sign_in("admin")

    assert f"/jobs/{job_id}" not in admin.get("/").text
    assert f"/jobs/{job_id}?everyone=true" in admin.get("/?everyone=true").text
    assert admin.get(f"/jobs/{job_id}?everyone=true").status_code == 200
    assert sign_in("chuck").get("/?everyone=true").status_code == 403


def test_a_finished_job_shows_its_result_path_and_content(browser: httpx2.Client, helix: Client) -> None:
    job = helix.wait(submit(browser), 30)

    text = html.unescape(browser.get(f"/jobs/{job.job_id}").text)

    assert job.result_path is not None
    assert job.result_path in text
    shown = re.search(r'<pre id="result-content"[^>]*>(.*?)</pre>', text, re.DOTALL)
    assert shown
    assert json.loads(shown[1]) == job.result_content
    assert "COMPLETED" in text


def test_hostile_names_contents_and_results_are_shown_as_text(browser: httpx2.Client, helix: Client) -> None:
    uploaded = helix.wait(submit(browser, f"{EVIL}.txt", EVIL.encode() * 20), 30)
    echoed = helix.wait(helix.submit("core.echo", {"message": EVIL}).job_id, 30)

    for job_id in (uploaded.job_id, echoed.job_id):
        text = browser.get(f"/jobs/{job_id}").text
        assert EVIL not in text
        assert EVIL in html.unescape(text)
        assert browser.get("/").text.count("<script") == browser.get("/?status=FAILED").text.count("<script")


def test_a_download_is_the_stored_file_and_nothing_that_a_browser_would_run(
    browser: httpx2.Client, helix: Client
) -> None:
    content = b"<!doctype html><script>alert(1)</script>\n" * 3
    job_id = submit(browser, "page.html", content)
    (artifact,) = [item for item in helix.artifacts(job_id) if item.role == "content_key"]

    answer = browser.get(f"/jobs/{job_id}/artifacts/{artifact.id}")

    assert answer.content == content
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_refused_form_is_explained_in_words_and_the_page_stays(browser: httpx2.Client) -> None:
    files = {"content_key": ("a.txt", b"a"), "context_key": ("b.txt", b"b")}
    headers = {"X-CSRF-Token": csrf(browser), "HX-Request": "true"}

    answer = browser.post("/jobs", files=files, data={"priority": "77"}, headers=headers)

    assert (answer.status_code, answer.headers["hx-retarget"]) == (422, "#notice")
    assert answer.text.startswith('<p class="notice bad">')
    assert "priority" in answer.text


def test_a_job_is_cancelled_retried_and_deleted_with_plain_forms(browser: httpx2.Client, helix: Client) -> None:
    job_id = helix.submit("core.sleep", {"seconds": 600}).job_id
    form = {"csrf_token": csrf(browser)}

    assert browser.post(f"/jobs/{job_id}/cancel", data=form).headers["location"] == f"/jobs/{job_id}"
    assert helix.wait(job_id, 30).status == "CANCELLED"
    assert browser.post(f"/jobs/{job_id}/retry", data=form).status_code == 303
    refused = browser.post(f"/jobs/{job_id}/delete", data=form)
    assert (refused.status_code, "cancel it first" in refused.text) == (409, True)
    browser.post(f"/jobs/{job_id}/cancel", data=form)
    helix.wait(job_id, 30)
    assert browser.post(f"/jobs/{job_id}/delete", data=form).headers["location"] == "/"
    assert browser.get(f"/jobs/{job_id}").status_code == 404


def test_a_job_that_has_ended_is_replayed_with_a_plain_form(browser: httpx2.Client, helix: Client) -> None:
    job_id = helix.wait(submit(browser), 30).job_id
    assert f'action="/jobs/{job_id}/replay"' in browser.get(f"/jobs/{job_id}").text

    answer = browser.post(f"/jobs/{job_id}/replay", headers={"X-CSRF-Token": csrf(browser)})

    assert answer.status_code == 303
    again = UUID(answer.headers["location"].removeprefix("/jobs/"))
    assert again != job_id
    assert helix.wait(again, 30).status == "COMPLETED"


def test_a_waiting_job_says_why_it_waits(browser: httpx2.Client, helix: Client) -> None:
    job_id = helix.submit("core.echo", available_at="2099-01-01T00:00:00Z").job_id

    text = browser.get(f"/jobs/{job_id}").text

    assert 'id="waiting"' in text
    assert "It is not to start before 2099-01-01 00:00:00 UTC." in text
    helix.cancel(job_id)
    assert 'id="waiting"' not in browser.get(f"/jobs/{job_id}").text


def test_a_failed_job_says_what_failed_and_where(browser: httpx2.Client, helix: Client) -> None:
    job_id = helix.wait(helix.submit("core.fail", {"kind": "error"}, max_attempts=1).job_id, 30).job_id

    assert "helixnet.processors.core:fail" in browser.get(f"/jobs/{job_id}").text


def test_the_list_goes_on_where_a_page_ends(sign_in: SignIn, stack: Stack) -> None:
    marcel, helix = sign_in("marcel"), stack.client("marcel@helix.net", "marcel")
    made = {str(helix.submit("core.echo", {"message": "x"}).job_id) for _ in range(27)}

    first = marcel.get("/").text
    more = re.search(r'href="(/\?cursor=[^"]+)"', first)
    assert more
    rest = marcel.get(more[1]).text

    shown = [set(re.findall(r'id="job-([0-9a-f-]+)"', text)) for text in (first, rest)]
    assert len(shown[0]) == 25
    assert not shown[0] & shown[1]
    assert made <= shown[0] | shown[1]


def test_the_live_stream_tells_that_something_has_changed(browser: httpx2.Client, helix: Client) -> None:
    with browser.stream("GET", "/live", headers=LIVE) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        helix.submit("core.echo", {"message": "x"})
        assert next(line for line in lines if line.startswith("event: ")) == "event: changed"


def test_what_happened_after_the_page_was_made_is_told_to_a_late_reader(browser: httpx2.Client, helix: Client) -> None:
    mark = re.search(r'data-mark="([0-9-]+)"', browser.get("/").text)
    assert mark
    job_id = helix.wait(helix.submit("core.echo", {"message": "x"}).job_id, 30).job_id

    with browser.stream("GET", f"/live?job={job_id}&after={mark[1]}", headers=LIVE) as stream:
        told = next(line for line in stream.iter_lines() if line.startswith("id: "))
    with browser.stream("GET", f"/live?job={job_id}&after={mark[1]}", headers=LIVE) as stream:
        assert next(line for line in stream.iter_lines() if line.startswith("id: ")) == told


def test_the_live_stream_is_only_for_those_who_are_signed_in(sign_in: SignIn, stack: Stack) -> None:
    assert httpx2.get(f"{stack.url}/live", headers=LIVE).status_code == 401
    assert sign_in("chuck").get("/live?everyone=true", headers=LIVE).status_code == 403


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/jobs/1?x=2", "/jobs/1?x=2"),
        ("https://helix.example/jobs/1", "/jobs/1"),
        ("//evil.example/", "/"),
        ("https://evil.example//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example/", "/"),
        ("//[", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_after_signing_in_nobody_is_led_to_another_site(address: str | None, path: str) -> None:
    assert local_path(address) == path


def test_an_address_that_leads_nowhere_is_a_page_for_people_and_a_problem_for_programs(stack: Stack) -> None:
    person = httpx2.get(f"{stack.url}/nonsense", headers={"Accept": "text/html"})
    program = httpx2.get(f"{stack.url}/nonsense")

    assert (person.status_code, program.status_code) == (404, 404)
    assert "There is no such page" in person.text
    assert "default-src 'none'" in person.headers["content-security-policy"]
    assert program.headers["content-type"] == "application/problem+json"


def test_assets_are_kept_for_good_by_their_hash(stack: Stack) -> None:
    page = httpx2.get(f"{stack.url}/login").text
    assets = re.findall(r'"(/static/[^"]+)"', page)

    assert assets
    for address in assets:
        answer = httpx2.get(stack.url + address)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True), address
