"""A worker's inner parts on a real ledger, in this process."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import BaseModel

from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.hints import Hints
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.processors.base import Processor, Run
from helixnet.processors.registry import Registry
from helixnet.worker.attempt import Resources
from helixnet.worker.isolation.run import Isolation
from helixnet.worker.pace import Pace
from helixnet.worker.slices import Caretaker, SliceRun
from tests.conftest import wait_until
from tests.jobs.conftest import Ledger
from tests.worker.isolating import IsolatedBench


class AnyParams(BaseModel):
    number: int = 0


@dataclass
class Bench:
    """What a worker process has, with processors made up by the test."""

    ledger: Ledger
    settings: Settings
    resources: Resources
    worker: UUID
    pace: Pace = field(default_factory=Pace)

    async def claim(self, count: int, usual_seconds: float = 0.001) -> list[ClaimedJob]:
        """A slice of the waiting jobs, whose processors are known to take so long as a rule."""
        jobs = await self.ledger.claim(self.worker, limit=count, costs={"quick": 0, "slow": 0})
        for processor in ("quick", "slow"):
            self.pace.ran(processor, usual_seconds)
        return jobs

    @contextmanager
    def caretaker(self, run: SliceRun, stopping: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """While the block runs, the slice is looked after."""
        unrecorded: list[str] = []
        caretaker = Caretaker(self.settings, stopping, lambda: unrecorded.append("left to the reaper"))
        caretaker.start()
        caretaker.watch(run)
        try:
            yield
        finally:
            caretaker.end()
        assert not unrecorded


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def make_bench(database: Database, database_url: str, tmp_path: Path) -> Callable[..., "AsyncIterator[Bench]"]:
    async def make(**runs: Run) -> Bench:
        settings = Settings.model_validate(
            {"database_url": database_url, "storage_url": f"file://{tmp_path}", "profile": "development"}
        )
        processors = [
            Processor(name=name, version="1", description=name, run=run, params=AnyParams) for name, run in runs.items()
        ]
        resources = Resources(settings, database, BlobStore(settings), Hints(""), Registry(processors), Isolation())
        ledger = Ledger(database)
        return Bench(ledger, settings, resources, await ledger.worker())

    return make  # type: ignore[return-value]


@pytest.fixture
async def bench(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IsolatedBench]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    isolation = Isolation()
    yield IsolatedBench(Ledger(database), BlobStore(Settings(storage_url=f"file://{tmp_path}/objects")), isolation)
    await isolation.close()
    wait_until(lambda: not list(scratch.iterdir()), "no scratch folder is left", 5)
