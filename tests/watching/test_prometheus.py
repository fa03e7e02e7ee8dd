"""A real Prometheus scrapes the stack, with the configuration and the rules of the compose stack."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.conftest import free_port, wait_until
from tests.watching.conftest import BEAT, WEB, WORKER, Watched
from tests.watching.test_alerts import PROMETHEUS, alerts
from tests.watching.test_dashboards import FILES, dashboard, expressions

pytestmark = [
    pytest.mark.xdist_group("watching"),
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not installed (Debian has it in the package of this name)",
    ),
]

# Panels of what goes wrong, and of jobs that end otherwise.
RARE = {"Not ended well", "Failures by kind", "Retries"}
SERVICES = {"helix-web-app": WEB, "worker": WORKER, "beat": BEAT}


class Server:
    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, what: str, **parameters: str) -> Any:
        answer = httpx2.get(f"{self._url}/api/v1/{what}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self._url}/-/ready", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False


@pytest.fixture(scope="module")
def server(watched: Watched) -> Iterator[Server]:
    """Prometheus with the file of the compose stack, in which only the addresses are others and time goes faster."""
    folder = Path(tempfile.mkdtemp(prefix="hx-prometheus-"))
    shutil.copytree(PROMETHEUS / "rules", folder / "rules")
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    configuration["scrape_configs"] = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{watched.port + service}"]}]}
        for name, service in SERVICES.items()
        if jobs[name]["dns_sd_configs"][0]["port"] == 9464
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    server = Server(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: server.is_ready() or process.poll() is not None, "Prometheus is ready")
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        process.kill()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def test_every_service_is_scraped(server: Server) -> None:
    wait_until(lambda: len(server.query("up == 1")) == len(SERVICES), "all three answer")

    assert {found["metric"]["job"] for found in server.query("up == 1")} == SERVICES.keys()
    assert server.query("scrape_samples_scraped == 0") == []


def test_the_rules_are_evaluated_without_an_error(server: Server) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in server.ask("rules")["groups"] for rule in group["rules"]]

    wait_until(lambda: rules() and all(rule["health"] == "ok" for rule in rules()), "all have been evaluated")
    assert {rule["name"] for rule in rules()} == {alert["alert"] for alert in alerts()}


def test_the_dashboards_draw_what_there_is(server: Server, watched: Watched) -> None:
    """Every panel has data, but those that show what goes wrong."""
    helix = watched.stack.client()
    files = {"content_key": ("a.txt", b"The moon is far."), "context_key": ("b.txt", b"moon")}

    def empty() -> set[str]:
        for _ in range(3):
            helix.submit("core.echo", {"message": "x"})
            watched.stack.http(helix).post("/api/v1/jobs/upload", files=files)
        return {
            panel["title"]
            for file in FILES
            for panel in dashboard(file)["panels"]
            if not any(server.query(plain(target["expr"])) for target in panel["targets"])
        }

    waiting = RARE | {"?"}

    def all_have_data() -> bool:
        nonlocal waiting
        waiting = empty()
        return waiting <= RARE

    end = time.monotonic() + 60
    while not all_have_data():
        assert time.monotonic() < end, f"no data: {sorted(waiting - RARE)}"
        time.sleep(0.5)
    assert sum(len(expressions(file)) for file in FILES) > 80


def plain(expression: str) -> str:
    """An expression of a dashboard, without Grafana's own words."""
    for variable in ("queue", "processor", "route"):
        expression = expression.replace(f"${variable}", ".*")
    return expression.replace("$__rate_interval", "10s")
