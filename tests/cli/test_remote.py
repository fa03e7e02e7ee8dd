"""`helix run --url`: the same job through HTTP, on a HelixNet with a third party's package and a real worker."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import PLUGIN
from tests.conftest import Stack, wait_until
from tests.stack.conftest import clean_environment, helix

LOG = PLUGIN / "sample" / "access.log"
DEMO = ("--email", "demo@helix.net")
PASSWORD = {"HELIX_PASSWORD": "demo"}


def jobs(stack: Stack) -> list[str]:
    return [str(job.job_id) for job in stack.client().jobs(limit=200).items]


@pytest.mark.parametrize("name", ["weblog.summary", "weblog.mask"])
def test_the_result_of_a_worker_is_the_result_of_a_local_run(
    name: str, weblog_stack: Stack, weblog: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"

    local = helix("run", name, "--content", LOG, "--out", here, PYTHONPATH=str(weblog))
    remote = helix("run", name, "--content", LOG, "--out", there, "--url", weblog_stack.url, *DEMO, **PASSWORD)

    assert (local.returncode, remote.returncode) == (0, 0), local.stderr + remote.stderr
    assert json.loads(remote.stdout) == json.loads(local.stdout)
    assert {path.name for path in there.iterdir()} == {path.name for path in here.iterdir()}
    for path in here.iterdir():
        if path.name != "result.json":
            assert (there / path.name).read_bytes() == path.read_bytes()
    assert "100%" in remote.stderr
    assert "attempt 1 begins" in remote.stderr


def test_a_package_that_was_installed_while_it_ran_is_there_after_a_deploy(weblog_stack: Stack) -> None:
    shown = {processor.name: processor.isolation for processor in weblog_stack.client().processors()}

    assert (shown["weblog.summary"], shown["weblog.mask"]) == ("process", "inline")


def test_a_token_is_as_good_as_a_password_and_a_job_without_files_is_one(weblog_stack: Stack) -> None:
    token = weblog_stack.client().sign_in("demo@helix.net", "demo").access_token
    words = ("run", "core.echo", "--params", '{"message": "hi"}', "--url", weblog_stack.url)

    assert json.loads(helix(*words, "--token", token).stdout) == {"message": "hi"}
    assert json.loads(helix(*words, HELIX_TOKEN=token).stdout) == {"message": "hi"}
    assert json.loads(helix(*words, *DEMO, said="demo\n").stdout) == {"message": "hi"}


def test_a_job_that_fails_on_the_server_exits_with_1_and_says_why(weblog_stack: Stack) -> None:
    content = PLUGIN.parent / "content_file.txt"

    done = helix("run", "weblog.summary", "--content", content, "--url", weblog_stack.url, *DEMO, **PASSWORD)

    assert (done.returncode, done.stdout) == (1, "")
    assert "FAILED (input): This is no access log" in done.stderr
    assert '"first_line": 1' in done.stderr


def test_further_attempts_are_told(weblog_stack: Stack) -> None:
    params = ("--params", '{"kind": "retry", "times": 1}')

    done = helix("run", "core.fail", *params, "--url", weblog_stack.url, *DEMO, **PASSWORD)

    assert done.returncode == 0, done.stderr
    assert "attempt 1 failed: " in done.stderr
    assert "It is tried again in " in done.stderr
    assert "attempt 2 begins" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("weblog.summary", *DEMO), PASSWORD, "weblog.summary needs content_key"),
        (("core.sleep", "--params", '{"seconds": "x"}', *DEMO), PASSWORD, "seconds: Input should be a valid number"),
        (("core.echo", *DEMO), {"HELIX_PASSWORD": "wrong"}, "401"),
        (("core.echo", "--token", "none"), {}, "401"),
        (("core.echo",), {}, "name who signs in by --email or --token"),
        (("weblog.mask", "--content", "/nowhere.log", *DEMO), PASSWORD, "content_key: there is no file /nowhere.log."),
    ],
)
def test_what_is_refused_exits_with_2_and_says_why(
    arguments: tuple[str, ...], environment: dict[str, str], words: str, weblog_stack: Stack
) -> None:
    before = jobs(weblog_stack)

    done = helix("run", *arguments, "--url", weblog_stack.url, **environment)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert jobs(weblog_stack) == before


def test_a_server_that_is_not_there_is_said_in_a_line() -> None:
    done = helix("run", "core.echo", "--url", "http://127.0.0.1:9", "--token", "any")

    assert (done.returncode, done.stdout) == (1, "")
    assert "helix: http://127.0.0.1:9 could not be reached: " in done.stderr
    assert "Traceback" not in done.stderr


def test_whoever_stops_waiting_is_told_that_the_job_goes_on(weblog_stack: Stack, tmp_path: Path) -> None:
    told = tmp_path / "told.txt"
    command = [sys.executable, "-m", "helixnet", "run", "core.sleep", "--params", '{"seconds": 600}']
    command += ["--url", weblog_stack.url, *DEMO]
    with told.open("wb") as file:
        waiting = subprocess.Popen(
            command, stderr=file, stdout=subprocess.DEVNULL, env=clean_environment(**PASSWORD), start_new_session=True
        )
    wait_until(lambda: "attempt 1 begins" in told.read_text(), "the job runs")

    os.kill(waiting.pid, signal.SIGINT)

    assert waiting.wait(20) == 130
    (job_id,) = {word for line in told.read_text().splitlines() if " goes on." in line for word in line.split()[2:3]}
    job = weblog_stack.client().job(job_id)  # type: ignore[arg-type]
    assert job.status == "IN_PROGRESS"
    weblog_stack.client().cancel(job.job_id)
