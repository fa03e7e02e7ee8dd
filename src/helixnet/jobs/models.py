"""The ledger's tables: jobs, their batches, events and artifacts, the worker processes and the queues.

No foreign keys point out of `jobs` and `job_events`: each would take a lock on a shared row (the owner's, say) for
every job, and nothing here is ever deleted but through `jobs.service`, which knows what belongs together.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from helixnet.db import Base
from helixnet.jobs.states import HIGHEST_PRIORITY, LOWEST_PRIORITY, Status

# A transaction's number in commit-visibility order, as a bigint; see docs/decisions/0003-tailing-events.md.
CURRENT_TRANSACTION = text("(pg_current_xact_id()::text::bigint)")

Moment = DateTime(timezone=True)


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("status IN ({})".format(", ".join(f"'{status}'" for status in Status)), name="status"),
        CheckConstraint(f"priority BETWEEN {LOWEST_PRIORITY} AND {HIGHEST_PRIORITY}", name="priority"),
        # Each owner's line within a queue and priority; what waits for a later time is in an index of its own.
        Index(
            "jobs_line_idx",
            "queue",
            "priority",
            "owner_id",
            "available_at",
            "id",
            postgresql_where=text("status = 'PENDING' AND due"),
        ),
        Index("jobs_later_idx", "available_at", postgresql_where=text("status = 'PENDING' AND NOT due")),
        Index("jobs_running_idx", "worker_id", postgresql_where=text("status = 'IN_PROGRESS'")),
        Index("jobs_owner_idx", "owner_id", "id"),
        # Only the rare states: an entry for every state would be paid for by every change of every job.
        Index("jobs_ended_idx", "owner_id", "status", "id", postgresql_where=text("status IN ('FAILED', 'CANCELLED')")),
        Index("jobs_failed_idx", "owner_id", "fingerprint", "id", postgresql_where=text("status = 'FAILED'")),
        Index("jobs_batch_idx", "batch_id", "status", postgresql_where=text("batch_id IS NOT NULL")),
        # Every job is rewritten twice or more in its life: leave room for it on its page, and clean up early.
        {"postgresql_with": {"fillfactor": "70", "autovacuum_vacuum_scale_factor": "0.02"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    batch_id: Mapped[UUID | None]
    processor: Mapped[str] = mapped_column(Text)
    params: Mapped[Any] = mapped_column(JSON)
    payload: Mapped[Any] = mapped_column(JSON)
    queue: Mapped[str] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    max_attempts: Mapped[int] = mapped_column(Integer)
    time_limit: Mapped[timedelta] = mapped_column(Interval)
    available_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    due: Mapped[bool] = mapped_column(server_default="true")  # false until `available_at` was seen to have passed
    deadline_at: Mapped[datetime | None] = mapped_column(Moment)
    worker_id: Mapped[UUID | None]
    cancel_requested_at: Mapped[datetime | None] = mapped_column(Moment)
    progress: Mapped[float | None]
    progress_message: Mapped[str | None] = mapped_column(Text)
    result_path: Mapped[str | None] = mapped_column(Text)
    result: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    error: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    fingerprint: Mapped[str | None] = mapped_column(Text)  # which kind of failure `error` is: see worker/failure.py
    events: Mapped[int] = mapped_column(Integer, server_default="0")
    trace: Mapped[bytes | None]  # the span that submitted it, 25 bytes: see helixnet/tracing.py
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)


class JobEvent(Base):
    """What happened to a job, in order: written in the same statement as the change it tells, never changed."""

    __tablename__ = "job_events"
    __table_args__ = (Index("job_events_tail_idx", "tx", "id"),)

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True, cache=50))
    tx: Mapped[int] = mapped_column(BigInteger, server_default=CURRENT_TRANSACTION)
    owner_id: Mapped[UUID]
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    kind: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)
    data: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class JobArtifact(Base):
    """Which artifact is a job's input or output, and from which attempt."""

    __tablename__ = "job_artifacts"
    __table_args__ = (
        CheckConstraint("direction IN ('input', 'output')", name="direction"),
        Index(None, "artifact_id"),
    )

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    direction: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    artifact_id: Mapped[UUID] = mapped_column(ForeignKey("artifacts.id"))


class JobTraceback(Base):
    """The stack trace of a job's last failure, for admins: see store/tracebacks.py."""

    __tablename__ = "job_tracebacks"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str] = mapped_column(Text)
    traceback: Mapped[str] = mapped_column(Text)


class Worker(Base):
    """One row for each worker process (a pool child) that is alive, as far as its heartbeat tells."""

    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    pace: Mapped[Any] = mapped_column(JSON, server_default="{}")  # queue -> seconds for a job, as a moving average
    started_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    heartbeat_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    claimed_at: Mapped[datetime | None] = mapped_column(Moment)  # when the ledger last answered it a claim


class Queue(Base):
    """A queue that is known: a row is made when its first job is submitted."""

    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    paused: Mapped[bool] = mapped_column(server_default="false")
    running_limit: Mapped[int | None]  # of the queue as a whole
    owner_running_limit: Mapped[int | None]  # of each owner within the queue


class Batch(Base):
    """Jobs that were submitted together; what became of them is counted from their rows."""

    __tablename__ = "batches"
    __table_args__ = (Index(None, "owner_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    size: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
