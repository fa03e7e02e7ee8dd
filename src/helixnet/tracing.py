"""Traces: one job from the request that brought it to the transaction that ended it, as OpenTelemetry spans.

A span is made only under another one: under a request, or under the trace that a job carries. Without `OTEL_*` in the
environment there are none, and `on` is all that the code on the way of a job looks at.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from helixnet import __version__
from helixnet.errors import CannotStart

GROUP = "opentelemetry_traces_exporter"
# OTLP goes over HTTP, by the exporter that the extra installs.
EXPORTERS = {"otlp": "otlp_proto_http"}
ASKED_FOR_BY = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

# What a job keeps of its trace: the ids of the trace and of the span that submitted it, and the flags (W3C).
_KEPT = struct.Struct(">16s8sB")
_W3C = TraceContextTextMapPropagator()

on = False
_tracer = trace.get_tracer("helixnet", __version__)


def wanted() -> bool:
    """Whether the environment asks for traces, in OpenTelemetry's own variables."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    return _names() != ["none"] and any(os.environ.get(name) for name in ASKED_FOR_BY)


def configure(service: str) -> None:
    """Export this process's spans if the environment asks for it; `service` is its name unless `OTEL_SERVICE_NAME`.

    Never before a fork: exporters have threads. Raises CannotStart when what it takes is not installed.
    """
    global on  # noqa: PLW0603 - the switch of the process
    if on or not wanted():
        return
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise CannotStart("traces are asked for: install helixnet[telemetry]") from error
    ours = Resource({"service.name": f"helixnet-{service}", "service.version": __version__})
    provider = TracerProvider(resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect()))
    for name in _names():
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    trace.set_tracer_provider(provider)
    on = True


def close() -> None:
    """Send what is left, and stop."""
    global on  # noqa: PLW0603
    on = False
    shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
    if callable(shutdown):
        shutdown()


def current() -> bytes | None:
    """The span that is being worked under, as a job keeps it; None outside of any."""
    return kept(trace.get_current_span().get_span_context()) if on else None


def kept(span: SpanContext) -> bytes | None:
    if not span.is_valid:
        return None
    return _KEPT.pack(span.trace_id.to_bytes(16, "big"), span.span_id.to_bytes(8, "big"), span.trace_flags)


def trace_id(kept_trace: bytes) -> str:
    """The trace's id in hex."""
    return kept_trace[:16].hex()


def ids() -> tuple[str, str] | None:
    """The current trace and span, in hex."""
    span = trace.get_current_span().get_span_context()
    return (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else None


def carried() -> contexts.Context | None:
    """The current context, to go on with in another thread; None outside of any span."""
    return contexts.get_current() if on and trace.get_current_span().get_span_context().is_valid else None


def headers() -> dict[str, str]:
    """The current span as a message carries it (W3C `traceparent`)."""
    carrier: dict[str, str] = {}
    if on:
        _W3C.inject(carrier)
    return carrier


def from_headers(carrier: Mapping[str, str]) -> bytes | None:
    """The span that a message carries, if it is one."""
    return kept(trace.get_current_span(_W3C.extract(carrier)).get_span_context()) if on else None


def under(kept_trace: bytes) -> contexts.Context:
    """A context whose current span is the one that was kept."""
    trace_bytes, span_bytes, flags = _KEPT.unpack(kept_trace)
    span = SpanContext(
        int.from_bytes(trace_bytes, "big"),
        int.from_bytes(span_bytes, "big"),
        is_remote=True,
        trace_flags=TraceFlags(flags),
    )
    return trace.set_span_in_context(NonRecordingSpan(span), contexts.Context())


@contextmanager
def span(
    name: str, parent: contexts.Context | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Any
) -> Iterator[Span]:
    """A span that is current while the block runs; an error that leaves the block marks it."""
    with _tracer.start_as_current_span(name, parent, kind, _named(attributes)) as started:
        yield started


def begin(name: str, **attributes: Any) -> Span | None:
    """A span that never becomes current, under one that is recorded; its caller ends it."""
    if not on or not trace.get_current_span().is_recording():
        return None
    return _tracer.start_span(name, None, SpanKind.CLIENT, _named(attributes))


def note(
    name: str, parent: bytes, begun_ns: int, kind: SpanKind = SpanKind.INTERNAL, **attributes: Any
) -> bytes | None:
    """A span of something that has just ended, under a kept one; answers it as a job keeps it."""
    noted = _tracer.start_span(name, under(parent), kind, _named(attributes), start_time=begun_ns)
    noted.end()
    return kept(noted.get_span_context())


def fail(failed: Span, words: str) -> None:
    """Mark a span as failed."""
    failed.set_status(StatusCode.ERROR, words)


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {f"helix.{name}": value for name, value in attributes.items()}


def _names() -> list[str]:
    return [name.strip() for name in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(",") if name.strip()]


def _exporter(name: str) -> Any:
    for entry in entry_points(group=GROUP, name=EXPORTERS.get(name, name)):
        return entry.load()()
    raise CannotStart(f"OTEL_TRACES_EXPORTER: there is no exporter called {name!r} here")
