"""`helix run` as its user sees it: result on one stream, everything else on the other, and an exit code."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from tests.stack.conftest import clean_environment, helix

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_result_is_json_on_the_standard_output_and_the_rest_is_not(tmp_path: Path) -> None:
    content, context = EXAMPLES / "content_file.txt", EXAMPLES / "context_file.txt"

    done = helix("run", "text.analyze", "--content", content, "--input", f"context_key={context}", "--out", tmp_path)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["language"]["code"] == "en"
    assert len(result["passages"]) == 8
    assert json.loads((tmp_path / "result.json").read_bytes()) == result
    assert "100%  Done" in done.stderr
    assert "Read 5,881 words" in done.stderr


def test_parameters_come_in_words_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"message": "from a file"}')

    assert json.loads(helix("run", "core.echo", "--params", '{"message": "Grüße"}').stdout) == {"message": "Grüße"}
    assert json.loads(helix("run", "core.echo", "--params", f"@{file}").stdout) == {"message": "from a file"}


def test_a_failure_exits_with_1_says_whose_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    done = helix("run", "core.fail", "--params", '{"kind": "reject"}', TMPDIR=str(tmp_path))

    assert list(tmp_path.iterdir()) == []
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("FAILED (input): This job was asked to be rejected.")
    assert "Traceback" not in done.stderr


def test_a_bug_is_shown_with_its_trace() -> None:
    done = helix("run", "core.fail")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("FAILED (bug): The processor failed: RuntimeError")
    assert 'raise RuntimeError("This job was asked to fail.")' in done.stderr
    assert "A worker would try it again: 3 times in all." in done.stderr


def test_a_function_that_does_not_end_is_ended_with_the_command() -> None:
    done = helix("run", "core.sleep", "--params", '{"seconds": 600, "stubborn": "loop"}', "--time-limit", 0.2)

    assert (done.returncode, done.stdout) == (1, "")
    assert "FAILED (limit): The work took longer than its time limit of 0.2 s." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("core.nothing",), "There is no processor 'core.nothing'. There are: core.echo"),
        (("text.analyze",), "text.analyze needs content_key, and was not given it"),
        (("core.sleep", "--params", '{"seconds": "x", "more": 1}'), "seconds: Input should be a valid number"),
        (("core.sleep", "--params", '{"seconds": "x", "more": 1}'), "more: Extra inputs are not permitted"),
        (("core.echo", "--params", "[1]"), "not a JSON object"),
        (("core.echo", "--params", "{"), "not JSON"),
        (("core.echo", "--params", "@/nowhere.json"), "No such file"),
        (("core.echo", "--input", "content_key"), "is not ROLE=FILE"),
        (("text.analyze", "--content", "/nowhere.txt"), "content_key: there is no file /nowhere.txt."),
    ],
)
def test_what_is_refused_exits_with_2_and_says_what_to_change(arguments: tuple[str, ...], words: str) -> None:
    done = helix("run", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_drills_are_unknown_in_production() -> None:
    done = helix("run", "core.echo", HELIX_PROFILE="production")

    assert done.returncode == 2
    assert "There is no processor 'core.echo'." in done.stderr
    assert helix("run", "core.echo", HELIX_PROFILE="development").returncode == 0


def test_an_interrupted_run_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "helixnet", "run", "core.spawn", "--params", '{"seconds": 600}']
    told = tmp_path / "told.txt"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with told.open("wb") as file:
        running = subprocess.Popen(
            command, stderr=file, stdout=subprocess.DEVNULL, env=clean_environment(TMPDIR=str(scratch))
        )
    wait_until(lambda: "started processes" in told.read_text(), "the processor runs")
    pids = [int(pid) for pid in told.read_text().partition("pids=")[2].split()]

    running.send_signal(signal.SIGINT)

    assert running.wait(20) == 130
    assert len(pids) == 5
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert list(scratch.iterdir()) == []
    assert "Traceback" not in told.read_text()


def test_the_command_line_imports_nothing_that_a_command_alone_needs() -> None:
    heavy = "sqlalchemy,celery,fastapi,httpx2,jinja2,helixnet.worker,helixnet.processors,helixnet.client,helixnet.local"
    code = f"import sys, helixnet.cli; print([name for name in {heavy.split(',')!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
