"""The dashboard in a real browser: sign in, submit, watch the state change, open the result."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

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
    assert not complaints


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
