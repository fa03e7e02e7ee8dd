"""Workers that live for months: their processes are replaced before they grow old, and no job notices."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Stack, wait_until

pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("drills")]


@contextmanager
def stack_with(**environment: str) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="helix-old-"))
    stack = Stack(folder / "home", environment)
    stack.start()
    try:
        yield stack
    finally:
        code = stack.stop()
        log = stack.log
        shutil.rmtree(folder, ignore_errors=True)
    assert code == 0, log


def pids(stack: Stack) -> set[int]:
    return {child.pid for child in stack.part("worker").children()}


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("HELIX_WORKER_MAX_JOBS", "3", "has done its share"),
        ("HELIX_WORKER_MAX_MEMORY_BYTES", "1000000", "has grown large"),
    ],
)
def test_a_process_that_is_worn_out_is_replaced_between_two_jobs(setting: str, value: str, words: str) -> None:
    with stack_with(**{setting: value}) as stack:
        helix = stack.client()
        first = pids(stack)

        # Which process takes a job is the broker's choice, so an idle one may see none of the first twelve.
        def run_more() -> bool:
            jobs = [helix.submit("core.echo", {"message": str(number)}).job_id for number in range(12)]
            ended = [helix.wait(job_id, 40) for job_id in jobs]
            assert [job.result_content for job in ended] == [{"message": str(number)} for number in range(12)]
            assert {(job.status, job.attempt) for job in ended} == {("COMPLETED", 1)}
            return len(pids(stack)) == 2 and pids(stack).isdisjoint(first)

        wait_until(run_more, "both processes are new ones", 60)
        assert words in stack.log
        assert "ERROR" not in stack.log
