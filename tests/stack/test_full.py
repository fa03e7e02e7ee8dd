"""`helix up --full`: every wire of the compose stack, without containers."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from helixnet.stack import pgadmin
from helixnet.stack.home import Home
from tests.conftest import Stack, free_port, is_alive, wait_until
from tests.stack.conftest import helix

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("full")]

ROOT = Path(__file__).parents[2]
PORTS = {name: free_port() for name in ("http", "flower", "pgadmin")}
ARGUMENTS = ("--full", *(word for name, port in PORTS.items() for word in (f"--{name}-port", str(port))))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("full") / "home", {"HELIX_LEASE_SECONDS": "3"}, ARGUMENTS)
    try:
        stack.start()
        yield stack
    finally:
        code = stack.stop()
    assert code == 0, stack.log


def url(name: str) -> str:
    return f"http://127.0.0.1:{PORTS[name]}"


def sign_in(full: Stack, tool: str) -> tuple[str, str]:
    """User and password of a tool, as the home's file tells them."""
    found = re.search(rf"^{tool} +\S+ +(\S+) +(\S+)$", (full.home / "sign-in.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[1], found[2]


def test_the_walk_passes_through_traefik(full: Stack) -> None:
    walk = [sys.executable, str(ROOT / "scripts" / "smoke.py"), url("http")]
    done = subprocess.run(walk, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "✔ /metrics leads nowhere" in done.stdout


def test_objects_are_in_s3_and_only_its_door_opens_them(full: Stack) -> None:
    state = Home(full.home).read_state()
    assert state is not None
    ((key,),) = full.sql("SELECT storage_key FROM artifacts WHERE storage_key LIKE '%%result.json' LIMIT 1")
    weed = next(child for child in psutil.Process(full.process.pid).children() if "weed" in child.name())  # type: ignore[union-attr]
    listening = {entry.laddr for entry in weed.net_connections("inet") if entry.status == psutil.CONN_LISTEN}

    assert state["HELIX_STORAGE_URL"] == "s3://helix"
    assert {address.ip for address in listening} == {"127.0.0.1"}
    for address in listening:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{address.port}/buckets/helix/{key}", timeout=5)
        except httpx2.TransportError:
            continue  # gRPC
        assert answer.status_code >= 400, f"port {address.port} hands out what it must not"


def test_flower_shows_the_workers_to_whom_may_see_them(full: Stack) -> None:
    assert httpx2.get(f"{url('flower')}/workers").status_code == 401
    with httpx2.Client(base_url=url("flower"), auth=sign_in(full, "Flower"), timeout=20) as flower:
        wait_until(lambda: "helix-" in flower.get("/api/workers?refresh=1").text, "Flower knows the worker")
        full.client().submit("core.echo", {"message": "ring"})
        wait_until(lambda: "helixnet.work" in flower.get("/api/tasks").text, "Flower has seen a ring")


@pytest.mark.skipif(pgadmin.find(None) is None, reason="pgAdmin is not installed: make pgadmin")
def test_pgadmin_signs_in_and_sees_the_tables(full: Stack) -> None:
    email, password = sign_in(full, "pgAdmin")
    with httpx2.Client(base_url=url("pgadmin"), timeout=60, follow_redirects=True) as browser:
        wait_until(lambda: browser.get("/misc/ping").status_code == 200, "pgAdmin serves", 180)
        page = browser.get("/login").text
        token = re.search(r'"csrfToken": ?"([^"]+)"', page)
        assert token is not None, page[:2000]
        credentials = {"email": email, "password": password, "csrf_token": token[1]}
        assert browser.post("/authenticate/login", data=credentials).url.path == "/browser/"
        script = browser.get("/browser/js/utils.js").text
        token = re.search(r"pgAdmin\['csrf_token'\] = '([^']+)'", script)
        assert token is not None
        browser.headers["X-pgA-CSRFToken"] = token[1]

        def node(kind: str, label: str, *parents: str) -> str:
            """The id of a node of pgAdmin's tree."""
            answer = browser.get(f"/browser/{kind}/nodes/1/{'/'.join(parents)}").json()
            return next(str(node["_id"]) for node in answer["data"] or answer["result"] if node["label"] == label)

        server = node("server", "HelixNet")
        asked = browser.post(f"/browser/server/connect/1/{server}", data={"password": "any"})
        assert asked.status_code == 200, asked.text
        database = node("database", "helix", server, "")
        browser.post(f"/browser/database/connect/1/{server}/{database}")
        schema = node("schema", "public", server, database, "")
        assert node("table", "jobs", server, database, schema, "")


def test_new_code_comes_without_a_refused_request_or_a_lost_job(full: Stack) -> None:
    client = full.client()
    token = full.http(client).headers["Authorization"]
    stop = threading.Event()
    failures: list[str] = []
    jobs: list[str] = []
    asked = 0

    def load() -> None:
        nonlocal asked
        with httpx2.Client(base_url=url("http"), headers={"Authorization": token}, timeout=30) as browser:
            while not stop.is_set():
                try:
                    body = {"processor": "core.echo", "params": {"message": "hello"}}
                    submitted = browser.post("/api/v1/jobs", json=body)
                    seen = browser.get("/api/v1/jobs?limit=1")
                except httpx2.TransportError as error:
                    failures.append(repr(error))
                    continue
                asked += 2
                failures.extend(f"{answer.status_code}" for answer in (submitted, seen) if answer.status_code >= 400)
                jobs.append(submitted.json().get("job_id"))
                stop.wait(0.03)

    before = {name: full.part(name).pid for name in ("web", "worker", "beat")}
    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: asked > 20, "load is on")
        deployed = helix("deploy", "--home", full.home)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert deployed.returncode == 0, deployed.stderr
    assert failures == []
    assert asked > 100
    after = {name: full.part(name).pid for name in before}
    assert all(before[name] != after[name] for name in before)
    assert not any(psutil.pid_exists(pid) and is_alive(psutil.Process(pid)) for pid in before.values())
    wait_until(
        lambda: full.sql("SELECT count(*) FROM jobs WHERE status IN ('PENDING', 'IN_PROGRESS')") == [(0,)],
        "every job has its final state",
    )
    assert full.sql("SELECT count(*) FROM jobs WHERE id = ANY(%s::uuid[]) AND status = 'COMPLETED'", jobs) == [
        (len(jobs),)
    ]
