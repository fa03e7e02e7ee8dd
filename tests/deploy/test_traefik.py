"""The real Traefik, with the settings and routes of the compose stack, before a web that runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from helixnet.stack import traefik
from helixnet.stack.health import http_answers
from tests.conftest import START_SECONDS, Stack, free_port, wait_until

pytestmark = pytest.mark.xdist_group("stack")

STATIC = Path(__file__).parents[2] / "deploy" / "traefik" / "traefik.toml"


@dataclass
class Door:
    """Traefik's ports."""

    ports: dict[str, int]

    def url(self, entry_point: str = "web") -> str:
        return f"http://127.0.0.1:{self.ports[entry_point]}"

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url(), timeout=20)


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    ports = {name: free_port() for name in ("web", "api", "flower", "pgadmin", "internal")}
    log = tmp_path_factory.mktemp("traefik") / "log"
    # For want of more servers, Flower's and pgAdmin's doors lead to the web too, and Grafana's leads nowhere.
    servers = dict.fromkeys(("WEB_URL", "FLOWER_URL", "PGADMIN_URL"), stack.url)
    program = traefik.program(ports, servers, log)
    with log.open("wb") as output:
        process = subprocess.Popen(program.command, env=dict(program.environment), stdout=output, stderr=output)
    try:
        wait_until(lambda: http_answers(ports["internal"], "/ping"), "Traefik answers", START_SECONDS)
        wait_until(lambda: http_answers(ports["web"], "/livez"), f"its routes lead somewhere: {log}", START_SECONDS)
        said = log.read_text()
        assert '"level":"error"' not in said, said
        yield Door(ports)
    finally:
        process.terminate()
        process.wait(20)


def test_the_settings_are_read_as_the_container_reads_them() -> None:
    program = Path(sys.executable).with_name("traefik")
    command = [str(program), "healthcheck", f"--configFile={STATIC}"]
    asked = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": "/"}, check=False)

    # It knows where to ask, from the file; nobody is there.
    assert ":8082" in asked.stdout + asked.stderr
    assert "connection refused" in asked.stdout + asked.stderr


@pytest.mark.parametrize("entry_point", ["web", "api"])
def test_api_documentation_and_dashboard_are_at_one_port(door: Door, entry_point: str) -> None:
    with httpx2.Client(base_url=door.url(entry_point)) as client:
        assert client.get("/api/v1/jobs").status_code == 401
        assert "swagger-ui" in client.get("/docs").text
        assert "<form" in client.get("/login").text


@pytest.mark.parametrize("entry_point", ["web", "api", "flower", "pgadmin"])
def test_metrics_are_at_no_door(door: Door, entry_point: str) -> None:
    assert httpx2.get(f"{door.url(entry_point)}/metrics").text == "404 page not found\n", "Traefik's own words"
    assert "traefik_" in httpx2.get(f"{door.url('internal')}/metrics").text


def test_answers_carry_the_headers_of_a_careful_site(door: Door) -> None:
    headers = httpx2.get(f"{door.url()}/login").headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Server" not in headers


def test_an_upload_streams_through_and_comes_out_whole(door: Door, stack: Stack) -> None:
    client = stack.client()
    content = os.urandom(6_000_000).hex().encode()
    files = {"content_key": ("a.txt", content), "context_key": ("b.txt", b"b")}
    with door.client() as through:
        through.headers["Authorization"] = stack.http(client).headers["Authorization"]
        accepted = through.post("/api/v1/jobs/upload", files=files)
        assert accepted.status_code == 201, accepted.text
        job = client.wait(accepted.json()["job_id"], 60)

    assert job.status == "COMPLETED"


def test_live_updates_arrive_as_they_happen(door: Door, stack: Stack) -> None:
    with door.client() as browser:
        browser.post("/login", data={"email": "demo@helix.net", "password": "demo"})
        with browser.stream("GET", "/live", headers={"Accept": "text/event-stream"}) as live:
            lines = live.iter_lines()
            assert next(lines).startswith("retry:")
            stack.client().submit("core.echo", {"message": "now"})
            # The stream goes on, so a proxy that gathered it would show nothing, and this would time out.
            assert next(line for line in lines if line.startswith("event:"))


def test_guessing_passwords_is_slowed_down_and_nothing_else(door: Door) -> None:
    with door.client() as client, ThreadPoolExecutor(16) as guessers:

        def guess(_number: int) -> int:
            return client.post("/api/v1/auth/token", data={"username": "a", "password": "b"}).status_code

        # All at once: what is refused does not wait for those that are tried.
        guesses = list(guessers.map(guess, range(16)))
        others = [client.get("/livez").status_code for _ in range(16)]

    assert set(guesses) == {401, 429}
    assert set(others) == {200}


def test_a_sign_in_is_small(door: Door) -> None:
    with door.client() as client:
        refused = client.post("/login", data={"email": "a", "password": "x" * 100_000})

    assert refused.status_code in (413, 429)
