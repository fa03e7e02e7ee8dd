"""The metrics of a running stack: one address for each service, and the numbers are true."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import httpx2
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from helixnet.metrics.kinds import Metric
from helixnet.stack.home import Home
from tests.conftest import Stack, free_port, wait_until
from tests.watching.conftest import BEAT, OF_PROCESSES, WEB, WORKER, Watched

pytestmark = pytest.mark.xdist_group("watching")

ROOT = Path(__file__).parent.parent.parent


def test_jobs_are_counted_over_all_worker_processes(watched: Watched) -> None:
    helix = watched.stack.client()
    done = watched.value(WORKER, "helix_job_attempts_total", outcome="completed")
    failed = watched.value(WORKER, "helix_job_failures_total", kind="input")
    jobs = [helix.submit("core.echo", {"message": str(number)}).job_id for number in range(30)]
    jobs.append(helix.submit("core.fail", {"kind": "reject"}).job_id)
    for job_id in jobs:
        helix.wait(job_id, 30)

    wait_until(
        lambda: watched.value(WORKER, "helix_job_attempts_total", outcome="completed") == done + 30, "all are counted"
    )
    assert watched.value(WORKER, "helix_job_attempts_total", outcome="failed", processor="core.fail") >= 1
    assert watched.value(WORKER, "helix_job_failures_total", kind="input") == failed + 1
    assert watched.value(WEB, "helix_jobs_submitted_total") >= 31
    assert watched.value(WEB, "helix_http_requests_total", route="/api/v1/jobs", method="POST", code="201") >= 31
    assert watched.value(WORKER, "helix_rings_heard_total") >= 1
    assert watched.value(WORKER, "helix_worker_processes") == 2
    assert watched.value(WORKER, "helix_processes") == 3, "the pool's parent and two children"


def test_what_a_killed_worker_process_counted_is_not_lost(watched: Watched) -> None:
    helix = watched.stack.client()
    jobs = [helix.submit("core.echo", {"message": "x"}).job_id for _ in range(20)]
    for job_id in jobs:
        helix.wait(job_id, 30)
    wait_until(lambda: watched.value(WORKER, "helix_job_attempts_total") >= 20, "they are counted")
    before = watched.value(WORKER, "helix_job_attempts_total")
    children = watched.stack.part("worker").children()
    assert len(children) >= 2
    for child in children:
        child.kill()

    wait_until(lambda: watched.value(WORKER, "helix_worker_processes") == 2, "others have taken their place")
    assert watched.value(WORKER, "helix_job_attempts_total") >= before
    assert watched.value(WORKER, "helix_processes") == 3


def test_a_path_that_a_client_makes_up_is_no_label(watched: Watched) -> None:
    for path in ("/wp-login.php", "/api/v1/jobs/not-an-id", "/api/v1/nowhere", "/static/nothing.css"):
        httpx2.get(f"{watched.stack.url}{path}")
    httpx2.request("PROPFIND", f"{watched.stack.url}/pot")

    text = watched.text(WEB)
    assert 'route="unmatched"' in text
    assert 'method="other"' in text
    for made_up in ("wp-login", "not-an-id", "nowhere", "nothing.css", "pot"):
        assert made_up not in text


def test_a_queue_that_waits_is_seen(watched: Watched) -> None:
    helix = watched.stack.client()
    admin = watched.stack.http(watched.stack.client("admin@helix.net", "admin"))
    helix.wait(helix.submit("core.echo", {"message": "x"}).job_id, 30)
    assert admin.post("/api/v1/queues/default/pause").status_code == 200
    try:
        jobs = [helix.submit("core.echo", {"message": "x"}).job_id for _ in range(5)]
        wait_until(lambda: watched.value(BEAT, "helix_queue_waiting_jobs", queue="default") == 5, "five wait")
        assert watched.value(BEAT, "helix_queue_paused", queue="default") == 1
        wait_until(lambda: watched.value(BEAT, "helix_queue_oldest_waiting_seconds", queue="default") > 1, "it ages")
        assert watched.value(BEAT, "helix_jobs", status="pending") == 5
    finally:
        admin.post("/api/v1/queues/default/resume")
    for job_id in jobs:
        helix.wait(job_id, 30)
    wait_until(lambda: watched.value(BEAT, "helix_queue_waiting_jobs", queue="default") == 0, "none waits")


def test_several_web_processes_are_told_as_one(watched: Watched) -> None:
    """`helix web --processes`: what each of them answered is in the sum, and none is asked by itself."""
    state = Home(watched.stack.home).read_state()
    assert state is not None
    port, metrics_port = free_port(), free_port()
    command = [sys.executable, "-m", "helixnet", "web", "--port", str(port), "--processes", "3"]
    environment = os.environ | state | {"HELIX_METRICS_PORT": str(metrics_port)}
    other = Watched(Stack(watched.stack.home, port=port), metrics_port)
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as web:
        try:
            wait_until(other.stack.is_ready, "it serves")
            wait_until(lambda: other.value(WEB, "helix_processes") == 4, "a supervisor and three processes count")
            before = other.value(WEB, "helix_http_requests_total", route="/livez")
            for _ in range(60):
                assert httpx2.get(f"{other.stack.url}/livez").status_code == 200
            assert other.value(WEB, "helix_http_requests_total", route="/livez") == before + 60
            served = {child.pid for child in psutil.Process(web.pid).children() if child.cpu_times().user > 0}
            assert len(served) >= 3
        finally:
            web.send_signal(signal.SIGINT)
            web.wait(20)


def test_metrics_are_never_served_with_the_api(watched: Watched) -> None:
    assert httpx2.get(f"{watched.stack.url}/metrics").status_code == 404
    assert httpx2.get(f"http://127.0.0.1:{watched.port}/api/v1/jobs").status_code == 404
    assert httpx2.post(f"http://127.0.0.1:{watched.port}/metrics").status_code == 501


def test_every_metric_is_documented_and_every_documented_one_is_there(watched: Watched) -> None:
    helix = watched.stack.client()
    files = {"content_key": ("a.txt", b"The moon is far."), "context_key": ("b.txt", b"moon")}
    uploaded = watched.stack.http(helix).post("/api/v1/jobs/upload", files=files).json()
    helix.wait(UUID(uploaded["job_id"]), 30)
    exported = {
        line.split()[2]
        for service in (WEB, WORKER, BEAT)
        for line in watched.text(service).splitlines()
        if "# TYPE" in line
    }
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    documented = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}

    assert documented == Metric.all.keys() | OF_PROCESSES
    assert exported == documented


def test_the_values_of_labels_are_documented(watched: Watched) -> None:
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    told = {
        value
        for service in (WEB, WORKER, BEAT)
        for family in text_string_to_metric_families(watched.text(service))
        for sample in family.samples
        for label, value in sample.labels.items()
        if label not in {"queue", "processor", "route", "code", "version", "le"}
    }

    assert len(told) > 20
    assert [value for value in told if f"`{value}`" not in text] == []
