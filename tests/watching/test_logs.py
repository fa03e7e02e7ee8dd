"""With `HELIX_LOG_FORMAT=json` every line is an object of one schema, whoever wrote it."""

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from tests.conftest import Stack, wait_until

pytestmark = pytest.mark.xdist_group("watching")

SCHEMA = Path(__file__).parent.parent.parent / "docs" / "reference" / "logs.schema.json"
# What `helix up` tells the person who typed it.
TO_THE_PERSON = "HelixNet is ready at "


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if not line.startswith(TO_THE_PERSON)]


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """The lines of a run in which things go well and badly, from its first to its last."""
    folder = Path(tempfile.mkdtemp(prefix="hx-logs-"))
    stack = Stack(folder / "home", {"HELIX_LOG_FORMAT": "json", "HELIX_LEASE_SECONDS": "3"})
    stack.start()
    helix = stack.client()
    helix.wait(helix.submit("core.echo", {"message": "x"}).job_id, 30)
    files = {"content_key": ("a.txt", b"The moon is far."), "context_key": ("b.txt", b"moon")}
    stack.http(helix).post("/api/v1/jobs/upload", files=files)
    rejected = helix.wait(helix.submit("core.fail", {"kind": "reject"}).job_id, 30)
    helix.submit("core.fail", {"kind": "error"})
    stack.http(helix).get("/api/v1/jobs/not-an-id")
    httpx2.get(f"{stack.url}/nowhere%0a%1b[31m")
    stack.send_half_an_upload(helix)
    children = stack.part("worker").children()
    children[0].kill()
    stack.kill("valkey")
    wait_until(lambda: "ended: starting it again" in stack.log, "the broker is started again")
    helix.wait(helix.submit("core.echo", {"message": "x"}).job_id, 30)
    wait_until(lambda: "its processor failed" in stack.log, "the failure is told")
    code = stack.stop()
    text = stack.log
    shutil.rmtree(folder, ignore_errors=True)
    assert code == 0, text
    assert str(rejected.job_id) in text
    return parsed(text)


def test_every_line_of_a_run_fits_the_schema(told: list[dict[str, Any]], schema: Draft202012Validator) -> None:
    wrong = [(line, error.message) for line in told for error in schema.iter_errors(line)]

    assert wrong == []
    assert [next(iter(line)) for line in told] == ["timestamp"] * len(told)


def test_everybody_s_lines_are_among_them(told: list[dict[str, Any]]) -> None:
    loggers = {line["logger"] for line in told}

    assert loggers >= {"helix.worker", "helix.beat", "helix.stack", "uvicorn.error", "celery.apps.worker"}
    assert any(line["event"].startswith("worker: Warm shutdown") for line in told), "what is said within a signal"
    assert any("exception" in line and "Traceback" in line["exception"] for line in told)


def test_the_lines_of_a_job_name_it(told: list[dict[str, Any]]) -> None:
    of_jobs = [line for line in told if line["event"].startswith(("Job [", "✨ Job [", "🎬", "⬇️", "⬆️"))]

    assert len(of_jobs) > 10
    assert [line for line in of_jobs if "job_id" not in line or "attempt" not in line] == []


HOSTILE = """
import logging, sys, threading, warnings
from helixnet import log
from helixnet.config import Settings

log.configure(Settings(log_format="json"))
ours, theirs = log.logger("helix.worker"), logging.getLogger("library")
ours.info("two\\nlines \\x1b[31m \\ud800", **{"odd": {1: 2, (3, 4): {5}}, "large": 2**70, "text": "\\ud800"})
ours.info("the fields of a processor", fields={"level": "none", "timestamp": 1, "exc_info": "x"})
theirs.warning("with %s", "values", extra={"level": "mine", "logger": 7, "timestamp": None, "thing": object()})
theirs.error(ValueError("no text"))
try:
    secret = "hunter2"
    1 / 0
except ZeroDivisionError:
    ours.exception("it failed")
warnings.warn("this is old")
thread = threading.Thread(target=lambda: [][0])
thread.start()
thread.join()
log.say("library", "from a signal")
raise RuntimeError("the end")
"""


def test_whatever_is_logged_makes_a_line_of_the_schema(schema: Draft202012Validator) -> None:
    run = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=240, check=False)
    lines = parsed(run.stderr)

    assert run.returncode == 1
    assert [error.message for line in lines for error in schema.iter_errors(line)] == []
    assert len(lines) == 9, run.stderr
    assert [line["level"] for line in lines] == [
        *["info", "info", "warning", "error", "error", "warning", "error", "info", "critical"]
    ]
    assert "hunter2" not in run.stderr.replace('secret = "hunter2"', ""), "the values of variables are not told"
    assert "the end" in lines[-1]["exception"]


def test_a_level_that_is_left_out_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    from helixnet import log

    logging.getLogger("helix.quiet").setLevel(logging.ERROR)
    log.logger("helix.quiet").info("%s", object())

    assert capsys.readouterr().err == ""
