"""A stack that is watched: its three services serve their metrics."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Stack, free_port

# Told by the exporter of its service's processes.
OF_PROCESSES = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_start_time_seconds",
    "helix_processes",
}
WEB, WORKER, BEAT = range(3)


class Watched:
    """A stack with metrics: web, worker and beat have three ports in a row."""

    def __init__(self, stack: Stack, port: int) -> None:
        self.stack, self.port = stack, port

    def text(self, service: int) -> str:
        answer = httpx2.get(f"http://127.0.0.1:{self.port + service}/metrics", timeout=5)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.text

    def value(self, service: int, name: str, **labels: str) -> float:
        """The sum of the samples with these labels; 0 when there is none."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.text(service))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture(scope="session")
def watched() -> Iterator[Watched]:
    folder = Path(tempfile.mkdtemp(prefix="hx-watched-"))
    port, *_also_taken = free_port(), free_port(), free_port()
    stack = Stack(folder / "home", {"HELIX_METRICS_PORT": str(port), "TMPDIR": str(folder)})
    stack.start()
    yield Watched(stack, port)
    code = stack.stop()
    left = list(folder.glob("helix-metrics-*"))
    log = stack.log
    shutil.rmtree(folder, ignore_errors=True)
    assert code == 0, log
    assert left == [], "the services leave nothing behind"
