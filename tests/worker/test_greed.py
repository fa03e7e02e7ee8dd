"""Jobs that take more than they may: each fails with a plain reason, and its worker goes on."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from helixnet.config import Settings
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.processors.registry import Registry
from helixnet.worker.attempt import Attempt, Ended, Resources
from helixnet.worker.isolation.errors import ProcessorFailed
from tests.jobs.conftest import Ledger
from tests.worker.greedy import GREEDY, TOGETHER
from tests.worker.isolating import IsolatedBench

pytestmark = pytest.mark.anyio


@dataclass
class Worker:
    """A worker's attempts at jobs of this processor."""

    ledger: Ledger
    resources: Resources

    async def ended(self, how: str, seconds: float) -> Ended:
        """How a job ends that may take so many seconds."""
        await self.ledger.submit(processor=GREEDY.name, params={"how": how}, time_limit=timedelta(seconds=seconds))
        (job,) = await self.ledger.claim(await self.ledger.worker())
        return await Attempt(job, self.resources).run()


@pytest.fixture
def worker(bench: IsolatedBench, database: Database, database_url: str, tmp_path: Path) -> Worker:
    settings = Settings.model_validate(
        {"database_url": database_url, "storage_url": f"file://{tmp_path}/objects", "profile": "development"}
    )
    resources = Resources(settings, database, bench.blobs, Hints(""), Registry([GREEDY]), bench.isolation)
    return Worker(bench.ledger, resources)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("memory", "limit", "The work took more memory than it may."),
        ("threads", "limit", "The work took more memory than it may."),
        ("native", "limit", "The work took more memory than it may."),
        ("file", "limit", "The work wrote a larger file than it may."),
        ("files", "limit", "The work opened more files than it may."),
        ("folder", "limit", "The work filled its scratch folder with more than it may."),
        ("fork", "limit", "The work started more processes than it may."),
        ("spin", "limit", "The work took longer than its time limit of 3 s."),
        ("sleep", "limit", "The work took longer than its time limit of 3 s."),
        ("crash", "bug", "The processor failed: SIGSEGV: The process crashed: segmentation fault (SIGSEGV)."),
        ("abort", "bug", "The processor failed: SIGABRT: The process crashed: aborted (SIGABRT)."),
    ],
)
async def test_greed_ends_in_a_plain_reason_and_the_next_job_runs(
    worker: Worker, how: str, kind: str, words: str
) -> None:
    greedy = await worker.ended(how, 3 if how in ("spin", "sleep") else 60)
    content = await worker.ended("", 60)

    assert greedy.settled.error is not None
    assert (greedy.settled.error["kind"], greedy.settled.error["message"]) == (kind, words)
    assert greedy.settled.status == ("FAILED" if kind == "limit" else "PENDING"), "more of it would not help"
    assert content.settled.status == "COMPLETED"


async def test_processes_that_take_too_much_memory_together_are_ended(bench: IsolatedBench) -> None:
    with pytest.raises(ProcessorFailed) as failed:
        await bench.run(TOGETHER)

    assert (failed.value.kind, failed.value.message) == ("limit", "The work took more memory than it may.")


async def test_what_a_crashing_library_said_is_for_the_operator(
    worker: Worker, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await worker.ended("abort", 60)

    told = caplog.text + "".join(capsys.readouterr())
    assert "assertion failed: impossible" in told
    assert "in abort" in told, "and where it was"
