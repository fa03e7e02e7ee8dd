"""A minute of chaos on each broker: everything that was accepted ends once and right, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest

from helixnet.stack.rabbitmq import MissingRabbitMQ, RabbitMQ
from tests.conftest import is_alive, wait_until

ROOT = Path(__file__).parents[2]
SECONDS, SEED = 60, 1300
# Start, harm, recovery, purge and stop; each of them has a limit of its own, far below.
LIMIT_SECONDS = 900


@pytest.mark.drill
@pytest.mark.parametrize(
    "broker",
    [
        pytest.param("valkey", marks=pytest.mark.xdist_group("chaos-valkey")),
        pytest.param("rabbitmq", marks=pytest.mark.xdist_group("chaos-rabbitmq")),
    ],
)
def test_a_minute_of_chaos_breaks_no_promise(broker: str, tmp_path: Path) -> None:
    if broker == "rabbitmq":
        skip_without_rabbitmq(tmp_path)
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks.chaos", "--json", str(report)]
    command += ["--broker", broker, "--seconds", str(SECONDS), "--seed", str(SEED)]

    code, words = run(command)

    assert code == 0, words
    found = orjson.loads(report.read_bytes())
    assert found["violations"] == 0
    assert found["faults"]["total"] >= 20
    assert sum(states.get("COMPLETED", 0) for states in found["accepted"].values()) >= 200


def skip_without_rabbitmq(folder: Path) -> None:
    """Skip the test, in the product's own words, on a machine that has no RabbitMQ it could start."""
    try:
        RabbitMQ(folder).command()
    except MissingRabbitMQ as missing:
        pytest.skip(str(missing))


def run(command: list[str]) -> tuple[int, str]:
    """Run the program to its end; answers its exit code and all that it said."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        try:
            words, _ = program.communicate(timeout=LIMIT_SECONDS)
        except BaseException:
            program.terminate()  # it wakes up whom it froze, and ends its stack
            raise
    return program.returncode, words


@pytest.mark.drill
@pytest.mark.xdist_group("chaos-valkey")
def test_an_interrupted_run_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "chaos"
    command = [sys.executable, "-m", "benchmarks.chaos", "--home", str(folder), "--seconds", "600"]
    log = folder / "stack.log"

    def has_done_harm() -> bool:
        return log.exists() and b"starting it again" in log.read_bytes()

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        try:
            wait_until(has_done_harm, "something was killed", 120)
            everyone = psutil.Process(program.pid).children(recursive=True)
        finally:
            program.terminate()

    assert program.returncode != 0
    assert len(everyone) > 5
    wait_until(lambda: not any(is_alive(process) for process in everyone), "everyone is gone", 5)
