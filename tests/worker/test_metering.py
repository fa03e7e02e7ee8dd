"""What a job spends is in the ledger whatever becomes of it, and a budget that is spent stops what comes next."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from helixnet.client import Client
from tests.conftest import Stack, wait_until
from tests.processors.llm_stand_in import KEY, Says, StandIn, stand_in

pytestmark = pytest.mark.xdist_group("metering")

# A token costs a thousandth, one that is written two.
PRICES = json.dumps({"small": {"input": "1000", "output": "2000"}})


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture(scope="module")
def metered(server: StandIn) -> Iterator[Stack]:
    """A HelixNet whose jobs may ask the stand-in, with a budget of 10 for everybody."""
    folder = Path(tempfile.mkdtemp(prefix="helix-llm-"))
    settings = {"BASE_URL": server.url, "API_KEY": KEY, "MODEL": "small", "PRICES": PRICES}
    stack = Stack(folder / "home", {f"HELIX_LLM_{name}": value for name, value in settings.items()})
    stack.environment |= {"HELIX_BUDGET": "10", "HELIX_CURRENCY": "EUR"}
    stack.start()
    yield stack
    code = stack.stop()
    log = stack.log
    shutil.rmtree(folder, ignore_errors=True)
    assert code == 0, log
    assert KEY not in log


@pytest.fixture(autouse=True)
def nothing_spent(metered: Stack, server: StandIn) -> None:
    for table in ("usage", "usage_months", "budgets", "answers"):
        metered.sql(f"DELETE FROM {table}")
    server.act = lambda _request: Says("five words are an answer")
    server.requests.clear()


def upload(stack: Stack, client: Client, content: str = "The moon is far.", **params: object) -> Any:
    return stack.http(client).post(
        "/api/v1/jobs/upload",
        files={"context_key": ("i.txt", b"Say it again."), "content_key": ("c.txt", content.encode())},
        data={"processor": "llm.run", "params": json.dumps(params)},
    )


def submit(stack: Stack, client: Client, **params: Any) -> UUID:
    answer = upload(stack, client, **params)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["job_id"])


def month(stack: Stack, client: Client, **query: str) -> list[dict[str, Any]]:
    page = stack.http(client).get("/api/v1/usage", params=query).json()
    assert page["currency"] == "EUR"
    items: list[dict[str, Any]] = page["items"]
    return items


def test_a_job_tells_what_it_spent_and_its_owners_month_sums_it_up(metered: Stack) -> None:
    helix = metered.client()

    jobs = [helix.wait(submit(metered, helix, cache=False), 60) for _ in range(2)]

    assert [job.status for job in jobs] == ["COMPLETED", "COMPLETED"]
    assert jobs[0].result_content["answer"] == "five words are an answer"
    # 3 + 4 words in, 5 out
    (spent,) = metered.http(helix).get(f"/api/v1/jobs/{jobs[0].job_id}").json()["usage"]
    assert (spent["model"], spent["calls"], spent["tokens_in"], spent["tokens_out"]) == ("small", 1, 7, 5)
    assert (spent["cost"], spent["estimated"]) == ("0.017", False)
    (sums,) = month(metered, helix)
    assert (sums["calls"], sums["tokens_in"], sums["tokens_out"], sums["cost"]) == (2, 14, 10, "0.034")
    assert (sums["owner_id"], sums["budget"]) == (str(jobs[0].owner_id), "10")


def test_what_others_spend_is_seen_by_an_admin_alone(metered: Stack) -> None:
    demo, chuck, admin = (metered.client(f"{name}@helix.net", name) for name in ("demo", "chuck", "admin"))
    demo.wait(submit(metered, demo), 60)

    assert month(metered, chuck) == []
    assert metered.http(chuck).get("/api/v1/usage", params={"everyone": "true"}).status_code == 403
    assert len(month(metered, admin, everyone="true")) == 1
    assert month(metered, admin) == []


def test_the_page_of_a_job_shows_what_it_spent(metered: Stack) -> None:
    helix = metered.client()
    job = helix.wait(submit(metered, helix, cache=False), 60)

    with httpx2.Client(base_url=metered.url, timeout=20) as browser:
        browser.post("/login", data={"email": "demo@helix.net", "password": "demo"})
        text = browser.get(f"/jobs/{job.job_id}").text

    assert 'id="usage"' in text
    assert "7 tokens in, 5 out, in 1 call" in text
    assert "0.017 EUR" in text


def test_the_same_question_again_costs_its_owner_nothing_and_another_owner_something(metered: Stack) -> None:
    demo, chuck = metered.client(), metered.client("chuck@helix.net", "chuck")
    demo.wait(submit(metered, demo), 60)

    again = demo.wait(submit(metered, demo), 60)
    others = chuck.wait(submit(metered, chuck), 60)

    assert (again.result_content["cached"], again.result_content["usage"]["cost"]) == (1, "0")
    assert others.result_content["cached"] == 0
    assert [item["calls"] for item in month(metered, demo)] == [1]


def test_a_spent_budget_refuses_submissions_with_402_until_it_is_raised(metered: Stack) -> None:
    helix = metered.client()
    job = helix.wait(submit(metered, helix, cache=False), 60)
    metered.sql("INSERT INTO budgets (owner_id, amount) VALUES (%s, 0.017)", job.owner_id)

    refused = upload(metered, helix)

    assert (refused.status_code, refused.json()["code"]) == (402, "over_budget")
    assert refused.json()["detail"].startswith("The budget of this month is spent: 0.017 of 0.017.")
    other = metered.http(helix).post("/api/v1/jobs", json={"processor": "core.echo"})
    assert other.status_code == 201, "what costs nothing goes on"
    batch = metered.http(helix).post("/api/v1/jobs/batch", json=[{"processor": "llm.run", "inputs": job.payload}])
    assert batch.status_code == 402

    metered.sql("UPDATE budgets SET amount = 5")
    assert helix.wait(submit(metered, helix, cache=False), 60).status == "COMPLETED"


def test_a_call_that_the_budget_has_no_room_for_fails_its_job_by_the_limit(metered: Stack, server: StandIn) -> None:
    helix = metered.client()

    job = helix.wait(submit(metered, helix, max_output_tokens=8000), 60)

    assert job.status == "FAILED"
    assert job.error is not None
    assert job.error.kind == "limit"
    assert job.error.message.startswith("Of this month's budget of 10 there is 10 left, and the next call may cost 16.")
    assert server.requests == []
    assert [item["cost"] for item in month(metered, helix)] in ([], ["0"])


def test_what_a_cancelled_job_has_spent_is_counted(metered: Stack, server: StandIn) -> None:
    gate = threading.Event()
    server.act = lambda _request: Says("one two three four", gate=gate, gate_at=2)
    helix = metered.client()
    job_id = submit(metered, helix, cache=False)

    def has_shown() -> bool:
        page = metered.http(helix).get(f"/api/v1/jobs/{job_id}/events").json()
        return any(event["kind"] == "OUTPUT" and "one" in event["data"]["text"] for event in page["items"])

    wait_until(has_shown, "the first words are on the job's page")
    (open_month,) = month(metered, helix)
    assert Decimal(open_month["cost"]) > Decimal(2), "what it may cost is set aside"
    metered.http(helix).post(f"/api/v1/jobs/{job_id}/cancel")
    job = helix.wait(job_id, 30)
    gate.set()

    assert job.status == "CANCELLED"
    (sums,) = month(metered, helix)
    assert 0 < Decimal(sums["cost"]) < Decimal("0.1")
    ((settled, estimated),) = metered.sql("SELECT settled, estimated FROM usage")
    assert (settled, estimated) == (True, True)


def test_what_a_killed_worker_was_about_to_spend_stays_counted(metered: Stack, server: StandIn) -> None:
    gate = threading.Event()
    server.act = lambda _request: Says("one two three four", gate=gate, gate_at=2)
    helix = metered.client()
    job_id = submit(metered, helix, cache=False)
    wait_until(lambda: server.requests, "the server was asked")
    wait_until(lambda: metered.sql("SELECT 1 FROM usage"), "the call is written down")

    os.kill(metered.worker_of(job_id), signal.SIGKILL)
    server.act = lambda _request: Says("five words are an answer")
    gate.set()
    job = helix.wait(job_id, 90)

    assert job.status == "COMPLETED"
    rows = metered.sql("SELECT attempt, settled, tokens_out FROM usage ORDER BY attempt")
    assert rows[0][1:] == (False, 1024)
    assert rows[-1][1:] == (True, 5)


def test_many_jobs_at_once_stay_within_the_budget(metered: Stack) -> None:
    helix = metered.client()
    # Each call may cost about 2.08 and costs 0.017: there is room for four at a time, and for many in turn.
    jobs = [submit(metered, helix, content=f"Number {n}.", cache=False) for n in range(12)]

    ended = [helix.wait(job_id, 120) for job_id in jobs]

    assert {job.status for job in ended} <= {"COMPLETED", "FAILED"}
    (sums,) = month(metered, helix)
    done = sum(job.status == "COMPLETED" for job in ended)
    assert done >= 4
    assert sums["calls"] == done
    assert Decimal(sums["cost"]) <= 10


def test_a_budget_is_given_at_the_command_line(metered: Stack) -> None:
    def helix(*words: str) -> str:
        command = [sys.executable, "-m", "helixnet", "users", "budget", *words, "--home", str(metered.home)]
        environment = os.environ | metered.environment
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=240, env=environment).stdout

    assert helix("demo@helix.net") == "demo@helix.net has spent 0 EUR this month; its budget is 10 EUR.\n"
    assert helix("demo@helix.net", "2.5") == "demo@helix.net has spent 0 EUR this month; its budget is 2.5 EUR.\n"
    client = metered.client()
    client.wait(submit(metered, client), 60)
    assert month(metered, client)[0]["budget"] == "2.5"
    helix("demo@helix.net", "default")
    assert month(metered, client)[0]["budget"] == "10"
