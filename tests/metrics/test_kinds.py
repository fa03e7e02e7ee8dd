"""Counting, and how the sums of several processes are told."""

import multiprocessing
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from helixnet.metrics import exporter, kinds, text, values
from helixnet.metrics.kinds import Counter, Gauge, Histogram, Metric
from helixnet.metrics.reading import Totals
from tests.conftest import wait_until

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> values.Values:
    """Numbers of the test's own, and metrics that are forgotten afterwards."""
    own = values.Values()
    monkeypatch.setattr(kinds, "VALUES", own)
    monkeypatch.setattr(values, "VALUES", own)
    monkeypatch.setattr(Metric, "all", {})
    return own


def told(folder: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What the exporter says, as Prometheus's own parser understands it."""
    return parsed(text.expose(Totals(folder).read()[0]))


def parsed(exposed: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }


def test_what_is_counted_is_told(fresh: values.Values, tmp_path: Path) -> None:
    jobs = Counter("t_jobs_total", "Jobs.", ("queue",))
    seconds = Histogram("t_seconds", "Seconds.", (0.1, 1.0))
    depth = Gauge("t_depth", "Depth.", ("queue",))
    jobs.add(2, "default")
    fresh.share(tmp_path, anew=False)
    jobs.add(1, "default")
    jobs.add(1, 'a "strange"\n\\name')
    for value in (0.05, 0.1, 0.5, 7):
        seconds.observe(value)
    seconds.observe_all([0.2, 0.3])
    depth.replace({"default": 3, "old": 1})
    depth.replace({"default": 4})

    assert told(tmp_path) == {
        ("t_jobs_total", (("queue", "default"),)): 3,
        ("t_jobs_total", (("queue", 'a "strange"\n\\name'),)): 1,
        ("t_seconds_bucket", (("le", "0.1"),)): 2,
        ("t_seconds_bucket", (("le", "1.0"),)): 5,
        ("t_seconds_bucket", (("le", "+Inf"),)): 6,
        ("t_seconds_count", ()): 6,
        ("t_seconds_sum", ()): pytest.approx(8.15),
        ("t_depth", (("queue", "default"),)): 4,
    }


def test_labels_without_end_are_counted_together(fresh: values.Values, tmp_path: Path) -> None:
    requests = Counter("t_requests_total", "Requests.", ("path",))
    fresh.share(tmp_path, anew=False)
    for number in range(kinds.MOST_SERIES + 50):
        requests.add(1, f"/{number}")

    counted = told(tmp_path)
    assert len(counted) == kinds.MOST_SERIES + 1
    assert counted["t_requests_total", (("path", "other"),)] == 50


def test_a_full_disk_loses_no_series_for_good(fresh: values.Values, tmp_path: Path) -> None:
    jobs = Counter("t_jobs_total", "Jobs.", ("queue",))
    fresh.share(tmp_path, anew=False)
    jobs.add(1, "early")
    (series,) = tmp_path.glob("*.series")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (series.stat().st_size + 10, hard))
    try:
        for _ in range(values.PLACES):
            jobs.add(1, "late")
        jobs.add(1, "early")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    jobs.add(1, "late")

    assert told(tmp_path) == {
        ("t_jobs_total", (("queue", "early"),)): 2,
        ("t_jobs_total", (("queue", "late"),)): 1,
    }


class Child:
    """A process of the service that counts when told to."""

    def __init__(self, folder: Path, count: Callable[[float], None]) -> None:
        self._here, there = FORK.Pipe()
        self.process = FORK.Process(target=_count, args=(folder, there, count))
        self.process.start()
        assert self._here.recv() == "ready"
        assert self.process.pid is not None
        self.pid = self.process.pid

    def count(self, amount: float) -> None:
        self._here.send(amount)
        assert self._here.recv() == "counted"

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.join()


def _count(folder: Path, orders: Connection, count: Callable[[float], None]) -> None:
    os.environ[values.FOLDER_VARIABLE] = str(folder)
    values.join_after_fork()
    orders.send("ready")
    while True:
        count(orders.recv())
        orders.send("counted")


@pytest.mark.drill
def test_the_numbers_of_processes_are_summed_and_outlive_a_kill(fresh: values.Values, tmp_path: Path) -> None:
    jobs = Counter("t_jobs_total", "Jobs.")
    running = Gauge("t_running", "Running.")
    newest = Gauge("t_newest", "Newest.", merge="max")

    def count(amount: float) -> None:
        jobs.add(amount)
        running.set(amount)
        newest.set(amount)

    fresh.share(tmp_path, anew=False)
    jobs.add(100)
    totals = Totals(tmp_path)
    children = [Child(tmp_path, count) for _ in range(3)]
    for number, child in enumerate(children, start=1):
        child.count(number)
    before = parsed(text.expose(totals.read()[0]))
    children[2].kill()
    after = parsed(text.expose(totals.read()[0]))
    children[0].count(10)
    later, pids = totals.read()

    assert before == {("t_jobs_total", ()): 106, ("t_running", ()): 6, ("t_newest", ()): 3}
    assert after == {("t_jobs_total", ()): 106, ("t_running", ()): 3, ("t_newest", ()): 2}
    assert parsed(text.expose(later))["t_jobs_total", ()] == 116
    assert sorted(pids) == sorted([os.getpid(), *(child.pid for child in children[:2])])
    assert len(list(tmp_path.glob("*.series"))) == 3, "the dead one's files are gone"
    for child in children[:2]:
        child.kill()


def test_folders_of_killed_services_are_removed_and_those_of_living_ones_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    left_over, living = tmp_path / "helix-metrics-a", tmp_path / "helix-metrics-b"
    for folder in (left_over, living):
        folder.mkdir()
        (folder / "lock").touch()
    held, release = FORK.Pipe()
    holder = FORK.Process(target=_hold, args=(living / "lock", release))
    holder.start()
    assert held.recv() == "held"

    exporter._sweep()

    assert (left_over.exists(), living.exists()) == (False, True)
    holder.kill()
    holder.join()


def _hold(lock: Path, told: Connection) -> None:
    import fcntl

    with lock.open("r+") as opened:
        fcntl.lockf(opened, fcntl.LOCK_EX)
        told.send("held")
        told.recv()


def test_what_the_dead_leave_is_taken_over_though_nobody_asks(
    fresh: values.Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "TIDY_EVERY_SECONDS", 0.1)
    jobs = Counter("t_jobs_total", "Jobs.")
    child = Child(tmp_path, jobs.add)
    child.count(7)
    server = exporter.Exporter(tmp_path, "127.0.0.1", 0)
    try:
        assert len(list(tmp_path.iterdir())) == 2
        child.kill()
        wait_until(lambda: list(tmp_path.iterdir()) == [], "its files are gone")

        answer = httpx2.get(f"http://127.0.0.1:{server.port}/metrics")
        assert "t_jobs_total 7\n" in answer.text
    finally:
        server.close()


def test_an_address_that_is_taken_is_taken_over_once_it_is_free(
    fresh: values.Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "AGAIN_SECONDS", 0.05)
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    predecessor = exporter.Exporter(tmp_path / "before", "127.0.0.1", 0)
    port = predecessor.port
    successor = exporter.Exporter(tmp_path / "after", "127.0.0.1", port)
    try:
        assert successor.port == 0
        predecessor.close()
        wait_until(lambda: successor.port == port, "the successor has the address")
        assert httpx2.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    finally:
        successor.close()
