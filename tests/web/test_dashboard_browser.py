"""The dashboard in a real browser: sign in, submit, watch the state change, open the result."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from helixnet.client import Client
from tests.conftest import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 30_000  # milliseconds

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 860), (360, 740)], ids=["desktop", "phone"])
def page(chromium: Browser, stack: Stack, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window, signed in as demo. Whatever the browser complains about fails the test."""
    width, height = request.param
    context = chromium.new_context(base_url=stack.url, viewport={"width": width, "height": height})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    page.get_by_label("E-mail").fill("demo@helix.net")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your jobs")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=PATIENCE)
    yield page
    context.close()
    # A form that is refused is no fault of the page, though browsers note every answer of this kind.
    assert not [told for told in complaints if "responded with a status of 422" not in told]


@pytest.fixture
def helix(stack: Stack) -> Client:
    return stack.client()


def is_within_the_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_two_files_become_a_result_before_the_readers_eyes(page: Page, tmp_path: Path) -> None:
    content, context = tmp_path / "content.txt", tmp_path / "context.txt"
    content.write_text(
        "The keeper wrote the log every night. The log is kept in the tower. Storms were frequent.\n" * 20
    )
    context.write_text("Where is the log kept?")
    page.evaluate("window.neverReloaded = true")

    page.get_by_label("Content").set_input_files(content)
    page.get_by_label("Context").set_input_files(context)
    page.get_by_role("button", name="Submit").click()
    link = page.locator("#notice a")
    expect(link).to_be_visible(timeout=PATIENCE)
    job_id = link.inner_text()

    row = page.locator(f"#job-{job_id}")
    expect(row).to_contain_text("COMPLETED", timeout=PATIENCE)
    expect(page.get_by_label("Content")).to_have_value("")
    assert page.evaluate("window.neverReloaded") is True
    assert is_within_the_window(page)

    row.get_by_role("link").click()
    expect(page).to_have_url(re.compile(rf"/jobs/{job_id}$"))
    expect(page.locator("#result-path")).to_have_text(re.compile(rf"{job_id}/attempt-\d+/result\.json$"))
    expect(page.locator("#result-content")).to_contain_text('"language"')
    expect(page.locator(".timeline")).to_contain_text("IN_PROGRESS")
    assert is_within_the_window(page)


def submitted(page: Page) -> str:
    """Press Submit; answers the job's id once the page tells it."""
    page.get_by_role("button", name="Submit").click()
    link = page.locator("#notice a")
    expect(link).to_be_visible(timeout=PATIENCE)
    return link.inner_text()


def choose(page: Page, processor: str) -> None:
    page.get_by_label("Processor").select_option(processor)
    expect(page.locator("input[name=fields_of]")).to_have_value(processor)


def test_another_processor_has_other_fields_and_what_is_wrong_is_told_beside_them(page: Page, helix: Client) -> None:
    choose(page, "core.sleep")
    expect(page.locator("#processor-about")).to_have_text("Sleeps for a while, and stops at once when told to.")
    expect(page.get_by_label("Content")).to_have_count(0)
    seconds = page.get_by_label("Seconds")
    expect(seconds).to_have_value("1")
    expect(seconds).to_have_accessible_description("How long to sleep, in seconds.")
    assert is_within_the_window(page)

    page.evaluate("document.getElementById('param-0').removeAttribute('max')")
    seconds.fill("99999")
    page.get_by_role("button", name="Submit").click()

    expect(seconds).to_have_attribute("aria-invalid", "true", timeout=PATIENCE)
    expect(seconds).to_be_focused()
    expect(seconds).to_have_accessible_description(re.compile("less than or equal to 86400"))
    expect(page.locator("#notice")).to_contain_text("do not fit core.sleep")
    assert is_within_the_window(page)

    seconds.fill("0.1")
    page.get_by_label("Stubborn").select_option("thread")
    job = helix.wait(UUID(submitted(page)), 30)

    assert (job.status, job.params["seconds"], job.params["stubborn"]) == ("COMPLETED", 0.1, "thread")
    expect(page.get_by_label("Processor")).to_have_value("core.sleep")
    expect(seconds).to_have_value("1")
    expect(seconds).not_to_have_attribute("aria-invalid", "true")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    large, small = tmp_path / "large.txt", tmp_path / "small.txt"
    large.write_text("four")
    small.write_text("3 b")
    content = page.get_by_label("Content")
    content.evaluate("input => { input.dataset.largest = '3' }")

    content.set_input_files(large)

    expect(page.locator("#file-0-error")).to_have_text("This file has 4 bytes; at most 3 are taken.")
    expect(content).to_have_attribute("aria-invalid", "true")
    assert content.evaluate("input => input.form.checkValidity()") is False
    content.set_input_files(small)
    expect(page.locator("#file-0-error")).to_have_text("")
    assert content.evaluate("input => input.form.checkValidity()") is True


def test_a_choice_that_the_browser_remembers_gets_its_fields(page: Page) -> None:
    page.evaluate("document.getElementById('processor').value = 'core.echo'")
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow'))")

    expect(page.get_by_label("Message")).to_be_visible(timeout=PATIENCE)


def test_output_grows_on_the_page_and_is_folded_away_at_the_end(page: Page) -> None:
    choose(page, "core.sleep")
    page.get_by_label("Seconds").fill("600")
    page.get_by_label("Aloud").fill("<b>piece</b> & ")
    job_id = submitted(page)
    page.goto(f"/jobs/{job_id}")

    output = page.locator("#output-text")
    expect(output).to_contain_text("<b>piece</b> & <b>piece</b> & ", timeout=PATIENCE)
    length = len(output.inner_text())
    page.wait_for_function(
        "length => document.getElementById('output-text').textContent.length > length", arg=length, timeout=PATIENCE
    )
    assert is_within_the_window(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("CANCELLED", timeout=PATIENCE)
    expect(output).to_be_visible()


def test_the_output_of_a_job_that_is_done_is_folded_away(page: Page, helix: Client) -> None:
    job_id = helix.wait(helix.submit("core.sleep", {"seconds": 0.5, "aloud": "piece "}).job_id, 30).job_id
    page.goto(f"/jobs/{job_id}")

    output = page.locator("#output-text")
    expect(output).to_be_hidden()
    page.get_by_text("Output while it worked").click()

    expect(output).to_contain_text("piece")


def test_the_beginning_of_a_file_is_shown_on_demand(page: Page, helix: Client, tmp_path: Path) -> None:
    content = tmp_path / "content.txt"
    content.write_text("The <b>log</b> is kept in the tower.")
    job_id = helix.wait(helix.upload(content=content).job_id, 30).job_id
    page.goto(f"/jobs/{job_id}")

    page.get_by_role("link", name="Preview of content.txt").click()

    expect(page.locator(".preview pre").filter(has_text="tower")).to_have_text("The <b>log</b> is kept in the tower.")
    assert is_within_the_window(page)


def test_a_jobs_page_follows_the_job_and_stops_it(page: Page, helix: Client) -> None:
    job_id = helix.submit("core.sleep", {"seconds": 600}).job_id
    row = page.locator(f"#job-{job_id}")
    expect(row).to_contain_text("IN_PROGRESS", timeout=PATIENCE)

    row.get_by_role("link").click()
    expect(page.locator(".advance")).to_contain_text("slept", timeout=PATIENCE)
    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_role("status")).to_have_text("CANCELLED", timeout=PATIENCE)
    expect(page).to_have_title(re.compile("CANCELLED"))
    page.once("dialog", lambda question: question.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Your jobs")).to_be_visible()
    expect(row).to_have_count(0)


def test_a_list_of_one_state_keeps_to_it(page: Page, helix: Client) -> None:
    page.get_by_role("link", name="FAILED", exact=True).click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=PATIENCE)

    done = helix.submit("core.echo", {"message": "x"}).job_id
    failed = helix.submit("core.fail", {"kind": "reject"}).job_id

    expect(page.locator(f"#job-{failed}")).to_contain_text("This job was asked to be rejected.", timeout=PATIENCE)
    expect(page.locator(f"#job-{done}")).to_have_count(0)
    expect(page.locator("#chuck-norris-joke")).not_to_have_text("Fetching daily wisdom...")


def test_swaggers_authorize_button_signs_in(chromium: Browser, stack: Stack) -> None:
    page = chromium.new_page(base_url=stack.url)
    page.goto("/docs")
    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container")
    form.locator("#oauth_username").fill("demo@helix.net")
    form.locator("#oauth_password").fill("demo")
    form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(form.get_by_role("button", name="Remove authorization")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Close").click()

    page.locator("[id$=me_api_v1_users_me_get] .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    expect(page.locator(".live-responses-table")).to_contain_text("demo@helix.net", timeout=PATIENCE)
    page.close()
