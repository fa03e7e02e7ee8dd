"""The real store against a small pure model: whatever the order of steps, the ledger says what the model says.

Hypothesis makes up the histories: many jobs and workers, late and repeated answers, lost workers, user's wishes.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from helixnet.db import Database
from helixnet.jobs.states import FINAL, TRANSITIONS, Status
from helixnet.jobs.store.lines import NOBODY, Lines
from tests.jobs.conftest import Ledger

OWNERS = [UUID(int=number) for number in (1, 2, 3)]


@dataclass
class ModelJob:
    """What the ledger must say of a job."""

    owner: UUID
    priority: int
    number: int
    max_attempts: int
    since: int = 0
    suspect: bool = False
    status: Status = Status.PENDING
    attempt: int = 0
    worker: UUID | None = None
    asked_to_stop: bool = False
    history: list[str] = field(default_factory=lambda: ["PENDING"])

    @property
    def place(self) -> tuple[int, int]:
        """Its place in its owner's line."""
        return self.since, self.number

    def move(self, status: Status) -> None:
        assert status in TRANSITIONS[self.status]
        self.status = status
        self.history.append(status)
        if status is not Status.IN_PROGRESS:
            self.worker = None


@dataclass
class ModelLines:
    """What a worker remembers: whom it served last, and the place behind which it looks on in each line."""

    after: UUID
    places: dict[tuple[int, UUID], tuple[int, int]] = field(default_factory=dict)

    def sees(self, job: ModelJob) -> bool:
        return job.place > self.places.get((job.priority, job.owner), (0, 0))

    def served(self, jobs: list[ModelJob]) -> None:
        for job in jobs:
            self.places[job.priority, job.owner] = job.place
            self.after = job.owner


class LedgerMachine(RuleBasedStateMachine):
    """Steps of the store, each mirrored in the model and compared."""

    runner: asyncio.Runner
    database: Database
    looks = 0

    jobs = Bundle("jobs")
    workers = Bundle("workers")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(self.database)
        self.model: dict[UUID, ModelJob] = {}
        self.alive: set[UUID] = set()
        self.lines: dict[UUID, tuple[Lines, ModelLines]] = {}
        self.paused = False
        self.ticks = 0
        self.do(self.clear())

    def tick(self) -> int:
        """A time that is later than all before."""
        self.ticks += 1
        return self.ticks

    def do(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(step)

    async def clear(self) -> None:
        async with self.database.transaction() as session:
            await session.execute(text("TRUNCATE jobs, job_events, job_artifacts, job_tracebacks, workers, queues"))
            await session.execute(text("INSERT INTO queues (name) VALUES ('default')"))

    @rule(target=jobs, owner=st.sampled_from(OWNERS), priority=st.sampled_from([0, 4, 9]), attempts=st.integers(1, 3))
    def submit(self, owner: UUID, priority: int, attempts: int) -> UUID:
        job_id: UUID = self.do(self.ledger.submit(owner_id=owner, priority=priority, max_attempts=attempts))
        self.model[job_id] = ModelJob(owner, priority, len(self.model), attempts, since=self.tick())
        return job_id

    @rule(target=workers, after=st.sampled_from([NOBODY, *OWNERS]))
    def worker_comes(self, after: UUID) -> UUID:
        worker: UUID = self.do(self.ledger.worker())
        self.alive.add(worker)
        self.lines[worker] = Lines(after, clock=lambda: 0), ModelLines(after)
        return worker

    @rule(worker=consumes(workers))
    def worker_is_lost(self, worker: UUID) -> None:
        self.do(self.ledger.leave(worker))
        self.alive.discard(worker)

    @rule(worker=workers)
    def worker_forgets(self, worker: UUID) -> None:
        for lines in self.lines[worker]:
            if isinstance(lines, Lines):
                lines.forget()
            else:
                lines.places.clear()

    @rule(target=attempts, worker=workers, limit=st.integers(1, 4))
    def claim(self, worker: UUID, limit: int) -> MultipleResults[tuple[UUID, int]]:
        remembered, lines = self.lines[worker]
        claimed = self.do(self.ledger.claim(worker, limit=limit, lines=remembered))
        may = not self.paused and worker in self.alive
        expected = self.next_slice(limit, lines) if may else []
        if not expected:
            lines.places.clear()
            expected = self.next_slice(limit, lines) if may else []
        assert [job.id for job in claimed] == expected
        lines.served([self.model[job_id] for job_id in expected])
        for got in claimed:
            job = self.model[got.id]
            job.move(Status.IN_PROGRESS)
            job.attempt += 1
            job.worker = worker
            assert got.attempt == job.attempt
        return multiple(*((got.id, got.attempt) for got in claimed))

    def next_slice(self, limit: int, seen: ModelLines) -> list[UUID]:
        """By the rules: the highest priority first, in it the owners in turn with equal parts, suspects alone."""
        waiting = [job_id for job_id, job in self.model.items() if job.status is Status.PENDING and seen.sees(job)]
        slice_: list[UUID] = []
        for priority in sorted({self.model[job_id].priority for job_id in waiting}, reverse=True):
            lines: dict[UUID, list[UUID]] = {}
            for job_id in sorted(waiting, key=lambda job_id: self.model[job_id].place):
                if self.model[job_id].priority == priority:
                    lines.setdefault(self.model[job_id].owner, []).append(job_id)
            turns = sorted(lines, key=lambda owner: (owner <= seen.after, owner))[:limit]
            for owner in turns:
                slice_ += lines[owner][: -(-limit // len(turns))]
        slice_ = slice_[:limit]
        alone = [index for index, job_id in enumerate(slice_) if self.model[job_id].suspect]
        return slice_[: max(alone[0], 1)] if alone else slice_

    def holds(self, attempt: tuple[UUID, int]) -> ModelJob | None:
        """The job, if this attempt is the one that may still decide it."""
        job = self.model[attempt[0]]
        return job if job.status is Status.IN_PROGRESS and job.attempt == attempt[1] else None

    @rule(attempt=attempts, status=st.sampled_from(sorted(FINAL)))
    def finish(self, attempt: tuple[UUID, int], status: Status) -> None:
        """Also the late and the repeated answer: an attempt stays in its bundle."""
        job = self.holds(attempt)
        assert self.do(self.ledger.finish(*attempt, status)) is (job is not None)
        if job is not None:
            job.suspect = False
            job.move(status)

    @rule(attempt=attempts)
    def fail_and_wait(self, attempt: tuple[UUID, int]) -> None:
        job = self.holds(attempt)
        status = self.do(self.ledger.retry_later(*attempt))
        if job is None:
            assert status is None
            return
        job.move(self.back_in_line(job, counts=True))
        job.since = self.tick()
        assert status is job.status

    @rule(attempt=attempts)
    def hand_back(self, attempt: tuple[UUID, int]) -> None:
        job = self.holds(attempt)
        status = self.do(self.ledger.hand_back(*attempt))
        if job is None:
            assert status is None
            return
        job.move(self.back_in_line(job, counts=False))
        job.max_attempts += 1
        assert status is job.status

    @staticmethod
    def back_in_line(job: ModelJob, *, counts: bool) -> Status:
        job.suspect = False
        if job.asked_to_stop:
            return Status.CANCELLED
        return Status.PENDING if job.attempt < job.max_attempts or not counts else Status.FAILED

    @rule(job_id=jobs)
    def cancel(self, job_id: UUID) -> None:
        job = self.model[job_id]
        status = self.do(self.ledger.cancel(job_id))
        if job.status is Status.PENDING:
            assert status is Status.CANCELLED
            job.move(Status.CANCELLED)
            job.asked_to_stop = True
        elif job.status is Status.IN_PROGRESS and not job.asked_to_stop:
            assert status is Status.IN_PROGRESS
            job.asked_to_stop = True
            job.history.append("CANCEL_REQUESTED")
        else:
            assert status is None

    @rule(job_id=jobs)
    def retry(self, job_id: UUID) -> None:
        job = self.model[job_id]
        may = job.status in {Status.FAILED, Status.CANCELLED}
        assert self.do(self.ledger.retry(job_id)) is may
        if may:
            job.move(Status.PENDING)
            job.max_attempts = job.attempt + 3
            job.asked_to_stop = job.suspect = False
            job.since = self.tick()

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        async def write() -> None:
            async with self.database.transaction() as session:
                await session.execute(text("UPDATE queues SET paused = :paused"), {"paused": paused})

        self.do(write())
        self.paused = paused

    @rule(worker=workers)
    def heartbeat(self, worker: UUID) -> None:
        stops = self.do(self.ledger.heartbeat(worker))
        if worker not in self.alive:
            assert stops is None
            return
        wanted = {job_id for job_id, job in self.model.items() if job.worker == worker and job.asked_to_stop}
        assert set(stops) == wanted

    @rule()
    def reap(self) -> None:
        given_up = self.do(self.ledger.reap(grace=timedelta(hours=1)))
        lost = {job_id for job_id, job in self.model.items() if job.worker is not None and job.worker not in self.alive}
        assert {job.id for job in given_up} == lost
        together = Counter(self.model[job_id].worker for job_id in lost)
        for job_id in lost:
            job = self.model[job_id]
            spared = together[job.worker] > 1
            job.suspect = not job.asked_to_stop
            job.max_attempts += spared
            if job.asked_to_stop:
                job.move(Status.CANCELLED)
            else:
                job.move(Status.PENDING if spared or job.attempt < job.max_attempts else Status.FAILED)
        self.do(self.make_due())

    async def make_due(self) -> None:
        """Step the clock: what waits for its turn after a loss is due, and in line beside all others."""
        async with self.database.transaction() as session:
            await session.execute(text("UPDATE jobs SET available_at = now() WHERE status = 'PENDING'"))
        await self.ledger.ripen()
        now = self.tick()
        for job in self.model.values():
            job.since = now if job.status is Status.PENDING else job.since

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        type(self).looks += 1

        async def read() -> dict[UUID, tuple[str, int, int, UUID | None, list[str]]]:
            async with self.database.transaction() as session:
                rows = await session.execute(
                    text("""
                        SELECT id, status, attempt, max_attempts, worker_id,
                               (SELECT array_agg(kind ORDER BY seq) FROM job_events WHERE job_id = jobs.id) AS history
                        FROM jobs
                    """)
                )
                return {row.id: (row.status, row.attempt, row.max_attempts, row.worker_id, row.history) for row in rows}

        assert self.do(read()) == {
            job_id: (job.status, job.attempt, job.max_attempts, job.worker, job.history)
            for job_id, job in self.model.items()
        }


def test_the_store_behaves_as_its_model(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_url, 2, "model")
        machine: type[LedgerMachine] = type("BoundMachine", (LedgerMachine,), {"runner": runner, "database": database})
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
        finally:
            runner.run(database.close())
    assert machine.looks > 200, "the histories were long enough to mean something"


@pytest.mark.parametrize("final", sorted(FINAL))
def test_the_model_itself_lets_nothing_leave_a_final_state_but_by_the_users_wish(final: Status) -> None:
    assert TRANSITIONS[final] <= {Status.PENDING}
