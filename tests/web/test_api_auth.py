"""Sign-in over HTTP."""

import re

import httpx2
import pytest

from helixnet.client import Client, ProblemError
from tests.conftest import Stack


@pytest.mark.parametrize("account", ["admin", "demo", "chuck", "marcel"])
def test_the_development_accounts_sign_in(stack: Stack, account: str) -> None:
    user = stack.client(f"{account}@helix.net", account).me()

    assert user.email == f"{account}@helix.net"
    assert user.role == ("admin" if account == "admin" else "user")


def test_the_email_is_found_however_it_is_spelled(stack: Stack) -> None:
    assert stack.client("  DEMO@Helix.net ", "demo").me().email == "demo@helix.net"


@pytest.mark.parametrize(
    ("email", "password"),
    [("demo@helix.net", "Demo"), ("nobody@helix.net", "demo"), ("demo", "demo"), ("demo@helix.net", "x" * 5000)],
)
def test_a_wrong_sign_in_says_the_same_whatever_was_wrong(stack: Stack, email: str, password: str) -> None:
    with Client(stack.url) as stranger, pytest.raises(ProblemError) as caught:
        stranger.sign_in(email, password)

    assert (caught.value.status, caught.value.detail) == (401, "The e-mail or the password is wrong.")


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x.y.z", "Basic ZGVtbzpkZW1v"])
def test_a_request_without_a_good_token_is_refused(stack: Stack, header: str | None) -> None:
    answer = httpx2.get(f"{stack.url}/api/v1/jobs", headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_process_says_that_it_lives_and_serves(stack: Stack) -> None:
    assert httpx2.get(f"{stack.url}/livez").json() == {"status": "ok"}
    assert httpx2.get(f"{stack.url}/readyz").json()["database"] == "ok"


def test_every_answer_carries_its_request_id(stack: Stack) -> None:
    first, second = (httpx2.get(f"{stack.url}/livez").headers["x-request-id"] for _ in range(2))

    assert first != second


def test_swagger_needs_no_other_server(stack: Stack) -> None:
    page = httpx2.get(f"{stack.url}/docs").text

    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(sources) >= 3
    assert [source for source in sources if not source.startswith("/")] == []
    assert [httpx2.get(stack.url + source).status_code for source in sources] == [200] * len(sources)
