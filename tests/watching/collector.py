"""An OpenTelemetry collector in small: it takes OTLP over HTTP, and appends to a file what the real one's file exporter
would, a line of OTLP JSON for each request.

Source: OpenTelemetry, "OTLP Specification", JSON Protobuf encoding; "OpenTelemetry Protocol File Exporter".
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """A span as a reader of the file sees it."""

    name: str
    trace: str
    id: str
    parent: str | None
    service: str
    kind: str
    attributes: dict[str, str]
    start: int
    end: int


@dataclass
class Collector:
    file: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """What sends a process's spans here, as soon as they have ended."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def spans(self, trace: str) -> list[Span]:
        """The spans of a trace, in the order of their starts."""
        # What follows the last line's end is being written.
        lines = self.file.read_text().split("\n")[:-1] if self.file.exists() else []
        spans = [span for line in lines for span in _spans(json.loads(line)) if span.trace == trace]
        return sorted(spans, key=lambda span: span.start)


@contextmanager
def collecting(file: Path) -> Iterator[Collector]:
    writing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            line = json.dumps(_with_hex_ids(MessageToDict(ExportTraceServiceRequest.FromString(body))))
            with writing, file.open("a") as opened:
                opened.write(line + "\n")
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Collector(file, server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _with_hex_ids(value: Any) -> Any:
    """OTLP JSON writes ids in hex, where protobuf's JSON has base64."""
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item).hex() if name in {"traceId", "spanId", "parentSpanId"} else _with_hex_ids(item)
            for name, item in value.items()
        }
    return value


def _spans(line: dict[str, Any]) -> Iterator[Span]:
    for resource in line["resourceSpans"]:
        service = _attributes(resource["resource"])["service.name"]
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Span(
                    span["name"],
                    span["traceId"],
                    span["spanId"],
                    span.get("parentSpanId") or None,
                    service,
                    span["kind"],
                    _attributes(span),
                    int(span["startTimeUnixNano"]),
                    int(span["endTimeUnixNano"]),
                )


def _attributes(holder: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: str(next(iter(item["value"].values()))) for item in holder.get("attributes", [])}
