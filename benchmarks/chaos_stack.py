"""The platform under chaos: a whole HelixNet in a folder of its own, and every process that belongs to it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
import psutil
import psycopg

from helixnet.stack import guard
from helixnet.stack.home import Home

LEASE_SECONDS = 3
WORKER_PROCESSES = 3
START_SECONDS = 120.0
STOP_SECONDS = 45.0
LAST_SECONDS = 5.0
LOOK_SECONDS = 0.05
READY_LINE = b"HelixNet is ready at"


class ChaosError(Exception):
    """The run itself could not be carried out: nothing is said about the product."""


def holds_within(seconds: float, condition: Callable[[], object]) -> bool:
    """Look at a condition until it holds; False when it didn't in `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def is_alive(process: psutil.Process) -> bool:
    """Whether a process is there still; a zombie, which only waits for its parent to notice, is not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Stack:
    """A HelixNet as `helix up` runs it, below `folder`, with a short lease."""

    folder: Path
    broker: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    # Every process that was ever seen below the supervisor: none of them may outlive it.
    seen: set[psutil.Process] = field(default_factory=set)

    @property
    def home(self) -> Home:
        return Home((self.folder / "home").resolve())

    @property
    def log_file(self) -> Path:
        return self.folder / "stack.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def objects(self) -> Path:
        """The folder with the stored objects."""
        return Path(unquote(urlsplit(self._state()["HELIX_STORAGE_URL"]).path))

    def start(self) -> None:
        """Start everything and wait until it is ready; raises ChaosError with the end of the log."""
        command = [sys.executable, "-m", "helixnet", "up", "--home", str(self.home.path), "--port", str(self.port)]
        command += ["--workers", str(WORKER_PROCESSES)]
        if self.broker != "valkey":
            command += ["--broker", self.broker]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HELIX_")}
        environment["HELIX_LEASE_SECONDS"] = str(LEASE_SECONDS)
        with self.log_file.open("wb") as log:
            self.process = process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        holds_within(START_SECONDS, lambda: READY_LINE in self.log_file.read_bytes() or process.poll() is not None)
        if process.poll() is not None or READY_LINE not in self.log_file.read_bytes():
            words = self.log_file.read_text(errors="replace")[-4000:]
            self.end()
            raise ChaosError(f"the stack did not start:\n{words}")
        self.look_around()

    def is_up(self) -> bool:
        """Whether the supervisor runs; it is never harmed here."""
        return self.process is not None and self.process.poll() is None

    def is_ready(self) -> bool:
        """Whether the web says that it and what it needs are there."""
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    def connect(self, seconds: float = 60) -> "psycopg.Connection[tuple[object, ...]]":
        """A plain connection to the stack's database, as soon as it takes one; raises ChaosError after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            try:
                return psycopg.connect(self._state()["HELIX_DATABASE_URL"], autocommit=True, connect_timeout=5)
            except psycopg.OperationalError as error:
                if time.monotonic() > end:
                    raise ChaosError(f"the database does not answer: {error}") from error
                time.sleep(LOOK_SECONDS)

    def part(self, name: str) -> psutil.Process | None:
        """The main process of a part (web, worker, beat, postgres, valkey, rabbitmq); None while it isn't running."""
        try:
            traces = guard.load(self.home.children_file.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        descendants = {process.pid: process for process in self.descendants()}
        for trace in traces:
            found = descendants.get(trace.pid)
            # The file may be a moment old: only what runs below our supervisor is ours to touch.
            if trace.name == name and found is not None and guard.birth(trace.pid) == trace.birth and is_alive(found):
                return found
        return None

    def broker_process(self) -> psutil.Process | None:
        """The process that is the broker: of RabbitMQ, the Erlang machine and not the script around it."""
        main = self.part(self.broker)
        if main is None or self.broker == "valkey":
            return main
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (main, *main.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.name().startswith("beam"):
                        return process
        return None

    def descendants(self) -> list[psutil.Process]:
        """Every process below the supervisor, at this moment."""
        if self.process is None:
            return []
        try:
            found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return found

    def look_around(self) -> None:
        """Remember who is there."""
        self.seen.update(self.descendants())

    def stop(self) -> int | None:
        """End it as Ctrl-C does; answers the exit code, None when it did not end in its time."""
        if self.process is None:
            return None
        self.look_around()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(STOP_SECONDS)
        return None

    def leftovers(self) -> list[str]:
        """What still runs after the end, described: descendants of the past, and whoever has to do with the home."""
        holds_within(LAST_SECONDS, lambda: not any(map(is_alive, self.seen)))
        found = {process for process in self.seen if is_alive(process)} | set(_at_home_in(self.home.path))
        return sorted(_described(process) for process in found)

    def end(self) -> None:
        """Leave nothing behind, whatever happened: for the way out."""
        if self.process is not None and self.process.poll() is None and self.stop() is None:
            self.look_around()
            self.process.kill()
            self.process.wait()
        # Not whoever names the home: somebody may be reading a log there.
        for process in self.seen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # psutil looks first whether it is the same process still

    def _state(self) -> dict[str, str]:
        state = self.home.read_state()
        if state is None:
            raise ChaosError("the stack is not up any more")
        return state


def _at_home_in(home: Path) -> Iterator[psutil.Process]:
    """Living processes, other than this one and those above it, that name a folder or work inside of it."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        if process.pid in ours or not is_alive(process):
            continue
        marks: list[str] = []
        with contextlib.suppress(psutil.Error, OSError):
            marks += process.cmdline()
        with contextlib.suppress(psutil.Error, OSError):
            marks.append(process.cwd())
        with contextlib.suppress(psutil.Error, OSError):
            marks += process.environ().values()
        if any(str(home) in mark for mark in marks):
            yield process


def _described(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} ({process.status()}): {' '.join(process.cmdline())[:200]}"
    return str(process.pid)
