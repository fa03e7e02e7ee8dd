"""The exporter: one address for each service, in a thread of its main process, apart from what the service serves."""

import atexit
import contextlib
import errno
import fcntl
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from helixnet import __version__
from helixnet.config import Settings
from helixnet.metrics import catalog, text
from helixnet.metrics.reading import Totals
from helixnet.metrics.values import FOLDER_VARIABLE, VALUES

PREFIX = "helix-metrics-"
PATIENCE_SECONDS = 5
# Worker processes come and go whether or not somebody scrapes; what the dead ones leave must not heap up.
TIDY_EVERY_SECONDS = 60
AGAIN_SECONDS = 2

logger = logging.getLogger("helix.metrics")

_ends: list[Callable[[], None]] = []


class Exporter:
    """Serves `GET /metrics` of the processes whose numbers are in `folder`.

    While the address is taken, as by a predecessor that still answers its last requests, it is tried again and again.
    Raises OSError when there is no such address.
    """

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self._totals = Totals(folder)
        self._reading = threading.Lock()
        self._tidy_due = time.monotonic() + TIDY_EVERY_SECONDS
        self._address = host, port
        self._ending = threading.Event()
        self._server = self._open()
        if self._server is None:
            logger.warning("metrics: %s port %s is taken, and tried again until it is free", host, port)
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    def _open(self) -> "_Server | None":
        try:
            return _server(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET, self._address, self)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return None

    def _serve(self) -> None:
        while self._server is None:
            if self._ending.wait(AGAIN_SECONDS):
                return
            self._server = self._open()
        self._server.serve_forever()

    @property
    def port(self) -> int:
        """The port that it listens on; 0 while the address is taken."""
        return 0 if self._server is None else int(self._server.server_address[1])

    def text(self) -> str:
        """Everything as Prometheus reads it."""
        with self._reading:
            series, pids = self._totals.read()
        return text.expose(series) + "".join(_processes(pids))

    def tidy(self) -> None:
        """Now and then, take over from processes that have ended, as if somebody had asked."""
        if time.monotonic() >= self._tidy_due:
            self._tidy_due = time.monotonic() + TIDY_EVERY_SECONDS
            with self._reading:
                self._totals.read()

    def forget(self) -> None:
        """In a forked child: let go of the address, which is the parent's."""
        if self._server is not None:
            self._server.socket.close()

    def close(self) -> None:
        self._ending.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._thread.join()


def serve(settings: Settings) -> Exporter | None:
    """Serve the metrics of this service from here on, its main process; None when the settings say not to.

    What is started from here, forked or anew, finds the folder in its environment (see `join`). Raises OSError.
    """
    if settings.metrics_port == 0:
        os.environ.pop(FOLDER_VARIABLE, None)
        return None
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(folder / "lock.new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.lockf(lock, fcntl.LOCK_EX)
    (folder / "lock.new").rename(folder / "lock")  # only now `_sweep` of another service sees it, locked
    _ends.append(partial(_end, folder, os.getpid()))
    exporter = Exporter(folder, settings.metrics_host, settings.metrics_port)
    os.environ[FOLDER_VARIABLE] = str(folder)
    catalog.BUILD.set(1, __version__)
    VALUES.share(folder, anew=False)
    return exporter


def serve_or_say(settings: Settings) -> Exporter | None:
    """As `serve`; a service that can't have the address says so, and works on without."""
    try:
        return serve(settings)
    except OSError as error:
        address = f"{settings.metrics_host} port {settings.metrics_port}"
        logger.warning("metrics are not served on %s: %s", address, error)
        return None


@atexit.register
def close() -> None:
    """Remove what `serve` made; for a process that ends by a signal, before which nothing else is called."""
    for end in _ends:
        end()


def _sweep() -> None:
    """Remove the folders of services that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _end(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # and not a child that was forked since
        shutil.rmtree(folder, ignore_errors=True)


def _processes(pids: Iterable[int]) -> list[str]:
    """What the operating system tells of the service's processes, in the names that every client has for it."""
    cpu = memory = files = 0.0
    count, born = 0, float("inf")
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                cpu += times.user + times.system
                memory += process.memory_info().rss
                files += process.num_fds()
                born = min(born, process.create_time())
                count += 1
    told = (
        ("process_cpu_seconds_total", "counter", "CPU time of the living processes.", cpu),
        ("process_resident_memory_bytes", "gauge", "Resident memory of the processes.", memory),
        ("process_open_fds", "gauge", "Open files of the processes.", files),
        ("process_start_time_seconds", "gauge", "When the oldest of the processes started.", born if count else 0.0),
        ("helix_processes", "gauge", "Living processes of the service.", float(count)),
    )
    return [
        line
        for name, kind, about, value in told
        for line in (*text.head(name, kind, about), text.sample(name, {}, value))
    ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    exporter: Exporter

    def service_actions(self) -> None:
        try:
            self.exporter.tidy()
        except Exception:
            # This thread answers the scrapes, too.
            logger.exception("metrics of processes that ended could not be taken over")

    def handle_error(self, *_request: object) -> None:
        """A scraper that hung up is nobody's trouble."""


def _server(family: socket.AddressFamily, address: tuple[str, int], exporter: Exporter) -> _Server:
    class Server(_Server):
        address_family = family

    server = Server(address, _Handler)
    server.exporter = exporter
    return server


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE_SECONDS
    server_version = "HelixNet"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101 - it is ours
        body = server.exporter.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", text.CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Scrapes are no news."""
