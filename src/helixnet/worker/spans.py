"""The spans of a job that carries a trace: its claim, its attempts, its processor, and the end of each attempt.

A claim's span is under the ring that led to it, where that ring is of the same trace; else under the submission, as
when beat's sweep rang, or a worker that was busy found the job by itself. From there on each span is under the former.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry.trace import Span, SpanKind

from helixnet import tracing
from helixnet.jobs.states import Status
from helixnet.jobs.store.claims import ClaimedJob
from helixnet.jobs.store.transitions import Settled
from helixnet.processors.base import Processor


def claimed(queue: str, jobs: Sequence[ClaimedJob], begun_ns: int, ring: bytes | None) -> list[ClaimedJob]:
    """The jobs, each with the span of its claim in the place of the one that submitted it."""
    return [job if job.trace is None else _claimed(queue, job, job.trace, begun_ns, ring) for job in jobs]


def _claimed(queue: str, job: ClaimedJob, trace: bytes, begun_ns: int, ring: bytes | None) -> ClaimedJob:
    parent = ring if ring is not None and tracing.trace_id(ring) == tracing.trace_id(trace) else trace
    about = {"queue": queue, "job.id": str(job.id), "job.attempt": job.attempt, "job.wait_seconds": job.waited_seconds}
    return job._replace(trace=tracing.note("claim", parent, begun_ns, SpanKind.CONSUMER, **about))


@contextmanager
def attempt(job: ClaimedJob) -> Iterator[Span]:
    """The span of an attempt, under its claim; the job must carry a trace."""
    assert job.trace is not None  # noqa: S101 - asked by the caller
    about: dict[str, Any] = {
        "processor": job.processor,
        "queue": job.queue,
        "job.id": str(job.id),
        "job.attempt": job.attempt,
    }
    with tracing.span("attempt", tracing.under(job.trace), **about) as span:
        yield span


def processing(processor: Processor) -> AbstractContextManager[Span]:
    """The span of the processor's own work."""
    return tracing.span(f"process {processor.name}", version=processor.version, isolation=processor.isolation)


def ended(span: Span, settled: Settled) -> None:
    """Say in an attempt's span how it ended."""
    span.set_attribute("helix.outcome", settled.status.value)
    if settled.error is not None:
        tracing.fail(span, str(settled.error.get("kind")))


def finished(attempts: Sequence[tuple[bytes | None, Status | None]], begun_ns: int) -> None:
    """Outcomes were written down: a span under each attempt that has one, with the job's new state."""
    for attempt_span, state in attempts:
        if attempt_span is not None:
            told = state.value if state is not None else "given up"
            tracing.note("finish", attempt_span, begun_ns, status=told, slice=len(attempts))
