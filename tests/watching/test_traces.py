"""One job's trace on a real stack: from the request through ring, claim, processor and storage to its end."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span

from helixnet import tracing
from tests.conftest import Stack, wait_until
from tests.watching.collector import Collector, Span, collecting
from tests.watching.conftest import Watched

pytestmark = pytest.mark.xdist_group("watching")

FILES = {
    "content_key": ("a.txt", b"The moon is far. The sun is farther. Both shine."),
    "context_key": ("b.txt", b"sun"),
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    folder = Path(tempfile.mkdtemp(prefix="hx-otlp-"))
    with collecting(folder / "traces.jsonl") as collector:
        yield collector
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Iterator[Stack]:
    """A stack that exports its traces, and whose beat rings for nobody while the tests last."""
    folder = Path(tempfile.mkdtemp(prefix="hx-traced-"))
    stack = Stack(
        folder / "home",
        collector.environment | {"HELIX_HOUSEKEEPING_SECONDS": "300", "HELIX_LOG_FORMAT": "json"},
    )
    stack.start()
    yield stack
    code = stack.stop()
    log = stack.log
    shutil.rmtree(folder, ignore_errors=True)
    assert code == 0, log


def upload(stack: Stack) -> UUID:
    helix = stack.client()
    answer = stack.http(helix).post("/api/v1/jobs/upload", files=FILES)
    assert answer.status_code == 201, answer.text
    return helix.wait(UUID(answer.json()["job_id"]), 30).job_id


def trace_of(stack: Stack, job_id: UUID) -> str:
    trace: str = stack.http(stack.client()).get(f"/api/v1/jobs/{job_id}").json()["trace_id"]
    return trace


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def test_a_trace_leads_from_the_request_to_the_end_with_right_parents(traced: Stack, collector: Collector) -> None:
    job_id = upload(traced)
    trace = trace_of(traced, job_id)
    wait_until(lambda: named(collector.spans(trace), "finish"), "the end is exported")
    wait_until(lambda: named(collector.spans(trace), "POST /api/v1/jobs/upload"), "the request is exported")
    wait_until(lambda: named(collector.spans(trace), "ring"), "the ring is exported")
    spans = collector.spans(trace)

    (request,) = named(spans, "POST /api/v1/jobs/upload")
    (ring,) = named(spans, "ring")
    (claim,) = named(spans, "claim")
    (attempt,) = named(spans, "attempt")
    (process,) = named(spans, "process text.analyze")
    (finish,) = named(spans, "finish")
    puts, gets = named(spans, "storage put"), [*named(spans, "storage get"), *named(spans, "storage stream")]

    assert request.parent is None
    assert ring.parent == request.id
    assert claim.parent == ring.id
    assert attempt.parent == claim.id
    assert process.parent == attempt.id
    assert {get.parent for get in gets} == {process.id}
    assert sorted(put.parent or "" for put in puts) == sorted([request.id, request.id, attempt.id])
    assert finish.parent == attempt.id
    assert [span.service for span in (request, ring, claim, attempt, process, finish)] == [
        *["helixnet-web"] * 2,
        *["helixnet-worker"] * 4,
    ]
    assert [span.kind for span in (request, ring, claim)] == [
        "SPAN_KIND_SERVER",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ]
    assert request.start < claim.start <= attempt.start < process.start < finish.end
    assert attempt.attributes["helix.job.id"] == str(job_id)
    assert finish.attributes["helix.status"] == "COMPLETED"


def test_the_trace_is_on_the_job_s_page_and_in_its_log_lines(traced: Stack) -> None:
    job_id = upload(traced)
    trace = trace_of(traced, job_id)

    def lines() -> list[dict[str, object]]:
        told = [json.loads(line) for line in traced.log.splitlines() if line.startswith("{")]
        return [line for line in told if line.get("trace_id") == trace]

    with httpx2.Client(base_url=traced.url) as browser:
        browser.post("/login", data={"email": "demo@helix.net", "password": "demo"})
        assert f'id="trace-id">{trace}<' in browser.get(f"/jobs/{job_id}").text
    wait_until(lambda: any("completed and final status saved" in str(line["event"]) for line in lines()), "it is told")
    words = [str(line["event"]) for line in lines()]
    assert any("status updated to IN_PROGRESS" in line for line in words)
    assert any("Uploading result artifact" in line for line in words)
    assert all(line["logger"] == "helix.worker" for line in lines())


def test_the_jobs_of_a_batch_share_its_trace(traced: Stack, collector: Collector) -> None:
    helix = traced.client()
    jobs = [{"processor": "core.echo", "params": {"message": str(number)}} for number in range(20)]
    answer = traced.http(helix).post("/api/v1/jobs/batch", json=jobs).json()
    for job_id in answer["job_ids"]:
        helix.wait(UUID(job_id), 30)
    (trace,) = {trace_of(traced, UUID(job_id)) for job_id in answer["job_ids"]}

    wait_until(lambda: len(named(collector.spans(trace), "finish")) == 20, "every end is exported")
    spans = collector.spans(trace)
    claims = {span.id for span in named(spans, "claim")}
    assert len(claims) == 20
    assert {span.parent for span in named(spans, "attempt")} == claims


def test_a_request_goes_on_with_the_trace_of_its_caller(traced: Stack, collector: Collector) -> None:
    helix = traced.client()
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    answer = traced.http(helix).post(
        "/api/v1/jobs",
        json={"processor": "core.echo", "params": {"message": "x"}},
        headers={"traceparent": f"00-{trace}-{caller}-01"},
    )
    job_id = helix.wait(UUID(answer.json()["job_id"]), 30).job_id

    assert trace_of(traced, job_id) == trace
    wait_until(lambda: named(collector.spans(trace), "POST /api/v1/jobs"), "the request is exported")
    (request,) = named(collector.spans(trace), "POST /api/v1/jobs")
    assert request.parent == caller


def test_a_failed_attempt_is_marked_and_the_next_one_is_in_the_same_trace(traced: Stack, collector: Collector) -> None:
    helix = traced.client()
    job_id = helix.submit("core.fail", {"kind": "reject"}).job_id
    helix.wait(job_id, 30)
    traced.http(helix).post(f"/api/v1/jobs/{job_id}/retry")
    helix.wait(job_id, 30)
    trace = trace_of(traced, job_id)

    wait_until(lambda: len(named(collector.spans(trace), "finish")) == 2, "both ends are exported")
    attempts = named(collector.spans(trace), "attempt")
    assert [span.attributes["helix.job.attempt"] for span in attempts] == ["1", "2"]
    assert {span.attributes["helix.outcome"] for span in attempts} == {"FAILED"}


def test_no_job_has_a_trace_where_none_is_exported(watched: Watched) -> None:
    stack = watched.stack
    job_id = upload(stack)

    assert trace_of(stack, job_id) is None
    assert stack.sql("SELECT trace FROM jobs WHERE id = %s", job_id) == [(None,)]
    with httpx2.Client(base_url=stack.url) as browser:
        browser.post("/login", data={"email": "demo@helix.net", "password": "demo"})
        page = browser.get(f"/jobs/{job_id}").text
    assert str(job_id) in page
    assert "trace-id" not in page


def test_what_asks_for_an_exporter_that_is_not_there_is_told_in_a_line() -> None:
    environment = {"OTEL_TRACES_EXPORTER": "nowhere", "PATH": os.environ["PATH"]}
    code = "from helixnet import tracing; tracing.configure('web')"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)

    assert run.returncode != 0
    assert "CannotStart: OTEL_TRACES_EXPORTER: there is no exporter called 'nowhere' here" in run.stderr


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    ],
)
def test_the_variables_of_opentelemetry_turn_it_on(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert tracing.wanted() is wanted


def test_what_a_job_keeps_is_small_and_read_back_whole() -> None:
    span = SpanContext(
        0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, is_remote=False, trace_flags=TraceFlags(1)
    )
    kept = tracing.kept(span)
    assert kept is not None
    found = get_current_span(tracing.under(kept)).get_span_context()

    assert len(kept) == 25
    assert tracing.trace_id(kept) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (found.trace_id, found.span_id, found.trace_flags) == (span.trace_id, span.span_id, span.trace_flags)
    assert tracing.kept(SpanContext(0, 0, is_remote=False)) is None
