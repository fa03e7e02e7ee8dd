"""The web process ends at once, however many watch."""

import time

import httpx2
import pytest

from tests.conftest import Stack

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("drills")]


def test_an_open_live_stream_does_not_hold_up_the_end(own_stack: Stack) -> None:
    web = own_stack.part("web")
    with httpx2.Client(base_url=own_stack.url, timeout=20) as browser:
        browser.post("/login", data={"email": "demo@helix.net", "password": "demo"})
        with browser.stream("GET", "/live", headers={"Accept": "text/event-stream"}) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry:")
            began = time.monotonic()
            web.terminate()
            rest = list(lines)
            took = time.monotonic() - began

    assert "event: changed" not in rest
    assert took < 2, "it ends by itself, not by the grace of the server"
