"""The rules of batches: many jobs submitted, looked at, cancelled and retried together."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.artifacts import service as artifacts
from helixnet.artifacts.models import OwnedFile
from helixnet.errors import Invalid, NotFound, TooLarge, violations
from helixnet.jobs import service
from helixnet.jobs.models import Batch
from helixnet.jobs.schemas import BatchPage, BatchView, JobSubmission, RejectedLine
from helixnet.jobs.service import Reader
from helixnet.jobs.states import FINAL, Status
from helixnet.jobs.store import batches, commands
from helixnet.jobs.store.commands import NewJob
from helixnet.processors.registry import Registry, check_files
from helixnet.usage import service as usage

LARGEST_BATCH = 10_000
# Of the lines that are wrong so many are told, and of each so much.
TOLD_LINES = 100
TOLD_VIOLATIONS = 20


@dataclass(slots=True)
class Draft:
    """A batch while it is read: the jobs so far, and what is wrong with other lines.

    A line is a job's JSON, or an element of an array; their numbers count from 1. One may have `longest` bytes.
    """

    registry: Registry
    owner_id: UUID
    longest: int
    jobs: list[NewJob] = field(default_factory=list)
    references: dict[UUID, dict[str, str]] = field(default_factory=dict)
    line_of: dict[UUID, int] = field(default_factory=dict)
    rejected: list[RejectedLine] = field(default_factory=list)
    count: int = 0

    def add(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Take lines with their numbers. Raises TooLarge when they are too many for a batch."""
        for number, line in lines:
            self.count += 1
            if self.count > LARGEST_BATCH:
                raise TooLarge(f"A batch holds at most {LARGEST_BATCH} jobs: send the rest in another.")
            if len(line) > self.longest:
                self._reject(number, f"A job may have at most {self.longest} bytes: hand over a file instead.")
            else:
                self._add(number, line)

    def _add(self, number: int, line: bytes) -> None:
        try:
            submission = JobSubmission.model_validate_json(line)
            job = service.draft(self.registry, self.owner_id, submission, list(submission.inputs), service.new_job_id())
        except ValidationError as error:
            self._reject(number, "This is not a job.", violations(error.errors(include_url=False, include_input=False)))
        except Invalid as error:
            self._reject(number, error.message, error.fields.get("violations"))
        else:
            self.jobs.append(job)
            if submission.inputs:
                self.references[job.id] = submission.inputs
                self.line_of[job.id] = number

    def _reject(self, line: int, message: str, found: Any = None) -> None:
        self.rejected.append(RejectedLine(line=line, message=message, violations=(found or [])[:TOLD_VIOLATIONS]))

    async def check_references(self, session: AsyncSession) -> dict[UUID, dict[str, UUID]]:
        """The artifacts that the jobs refer to, by job and role.

        Jobs that refer to others' are rejected, and those whose files their processor does not take.
        """
        wanted = {key for inputs in self.references.values() for key in inputs.values()}
        owned = await artifacts.owned_files(session, self.owner_id, wanted)
        # In a thread, as the lines themselves: ten thousand of them would hold up the event loop.
        return await asyncio.to_thread(self._check_files, owned)

    def _check_files(self, owned: dict[str, OwnedFile]) -> dict[UUID, dict[str, UUID]]:
        right: list[NewJob] = []
        linked: dict[UUID, dict[str, UUID]] = {}
        for job in self.jobs:
            inputs = self.references.get(job.id)
            if inputs is not None:
                if wrong := self._wrong(job.processor, inputs, owned):
                    self._reject(self.line_of[job.id], wrong)
                    continue
                linked[job.id] = {role: owned[key].id for role, key in inputs.items()}
            right.append(job)
        self.jobs = right
        self.rejected.sort(key=lambda rejected: rejected.line)
        return linked

    def _wrong(self, processor: str, inputs: dict[str, str], owned: dict[str, OwnedFile]) -> str:
        """What is wrong with the files that a line refers to; nothing where all is right."""
        missing = [
            f"{role}: there is no stored file of yours under {key!r}."
            for role, key in inputs.items()
            if key not in owned
        ]
        if missing:
            return " ".join(missing)
        try:
            check_files(self.registry.get(processor), {role: owned[key] for role, key in inputs.items()})
        except (Invalid, TooLarge) as error:
            return error.message
        return ""


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """A batch that is in the ledger once its transaction is committed, and the bells to ring."""

    id: UUID
    job_ids: Sequence[UUID]
    rejected: Sequence[RejectedLine]
    queues: frozenset[str]


async def submit(session: AsyncSession, draft: Draft, *, partial: bool, budget: Decimal | None = None) -> AcceptedBatch:
    """Enter a batch: all of it or, if `partial`, what is right of it.

    Raises Invalid that names the wrong lines, and OverBudget as `service.submit` does.
    """
    linked = await draft.check_references(session)
    if draft.rejected and not (partial and draft.jobs):
        count = len(draft.rejected)
        raise Invalid(
            f"{count} of {draft.count} jobs can't be accepted, so none was.",
            lines=[rejected.model_dump() for rejected in draft.rejected[:TOLD_LINES]],
            rejected=count,
        )
    if not draft.jobs:
        raise Invalid("The batch is empty.")
    if not draft.registry.metered.isdisjoint(job.processor for job in draft.jobs):
        await usage.check_budget(session, draft.owner_id, budget)
    batch_id = service.new_job_id()
    await commands.open_batch(session, batch_id, draft.owner_id, len(draft.jobs))
    await commands.submit(session, draft.jobs, batch_id)
    await commands.link_inputs(session, linked)
    queues = frozenset(job.queue for job in draft.jobs)
    return AcceptedBatch(batch_id, [job.id for job in draft.jobs], draft.rejected, queues)


async def get(session: AsyncSession, reader: Reader, batch_id: UUID) -> BatchView:
    """A batch with the counts of its jobs by state; raises NotFound when it is not there or not the reader's."""
    batch = await _visible(session, reader, batch_id)
    return _view(batch, (await batches.counts(session, [batch.id]))[batch.id])


async def list_batches(session: AsyncSession, reader: Reader, cursor: UUID | None, limit: int) -> BatchPage:
    """A page of the reader's batches, newest first."""
    found = await batches.page(session, reader.owner_id, cursor, limit + 1)
    shown = found[:limit]
    counts = await batches.counts(session, [batch.id for batch in shown])
    return BatchPage(
        items=[_view(batch, counts[batch.id]) for batch in shown],
        next_cursor=str(shown[-1].id) if len(found) > limit else None,
    )


@dataclass(frozen=True, slots=True)
class Commanded:
    """What a command did to a batch: how many jobs it concerned, whose they are, and which bells to ring."""

    count: int
    owner_id: UUID
    queues: frozenset[str] = frozenset()


async def cancel(session: AsyncSession, reader: Reader, batch_id: UUID) -> Commanded:
    """Cancel what waits and ask what runs to stop. Raises NotFound."""
    batch = await _visible(session, reader, batch_id)
    return Commanded(await commands.cancel_batch(session, batch.id), batch.owner_id)


async def retry(session: AsyncSession, registry: Registry, reader: Reader, batch_id: UUID) -> Commanded:
    """Put FAILED and CANCELLED jobs back in line, with the attempts their processors grant. Raises NotFound."""
    batch = await _visible(session, reader, batch_id)
    attempts = {processor.name: processor.retry.max_attempts for processor in registry}
    queues = await commands.retry_batch(session, batch.id, attempts)
    return Commanded(sum(queues.values()), batch.owner_id, frozenset(queues))


async def _visible(session: AsyncSession, reader: Reader, batch_id: UUID) -> Batch:
    batch = await batches.get(session, batch_id, reader.owner_id)
    if batch is None:
        raise NotFound("There is no such batch.")
    return batch


def _view(batch: Batch, counts: dict[Status, int]) -> BatchView:
    return BatchView(
        batch_id=batch.id,
        owner_id=batch.owner_id,
        size=batch.size,
        created_at=batch.created_at,
        counts=counts,
        finished=all(status in FINAL or not count for status, count in counts.items()),
    )
