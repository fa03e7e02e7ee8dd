"""The supervisor: keeps child processes running, and ends them in order with nothing left behind."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from helixnet import log
from helixnet.errors import CannotStart

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
# A child that lived this long had started well: its next restart is prompt again.
HEALTHY_SECONDS = 10.0
DEATHS_BEFORE_READY = 3
LOOK_SECONDS = 0.05
PR_SET_PDEATHSIG = 1

logger = log.logger("helix.stack")


class StartFailed(CannotStart):
    """A child can't be brought up; the message says which and where to look."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to keep running.

    `ready` tells whether it serves. `stop_signal` asks it to end, and after `patience` seconds it is killed. Output
    goes to the file `output`, or to ours.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 3.0
    output: Path | None = None


@dataclass(eq=False, slots=True)
class Child:
    """A program's process, started again whenever it dies."""

    program: Program
    _process: "subprocess.Popen[bytes] | None" = None
    _keeper: "asyncio.Task[None] | None" = None
    _deaths: int = 0
    _stopping: bool = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self, timeout_seconds: float = 60) -> None:
        """Start it, and wait until it is ready; raises StartFailed."""
        self._spawn()
        self._keeper = asyncio.create_task(self._keep())
        end = time.monotonic() + timeout_seconds
        while not await self.program.ready():
            if self._deaths >= DEATHS_BEFORE_READY:
                raise StartFailed(f"{self.program.name} ended {self._deaths} times before it was ready{self._where()}")
            if time.monotonic() > end:
                raise StartFailed(f"{self.program.name} was not ready after {timeout_seconds:g} s{self._where()}")
            await asyncio.sleep(LOOK_SECONDS)

    async def stop(self) -> None:
        """Ask it to end, wait for as long as its patience is, then kill it with everything it started."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.program.stop_signal)
            if not await _ended(process, self.program.patience):
                logger.warning("killed: it did not end in time", program=self.program.name, pid=process.pid)
        _kill_group(process.pid)
        await _ended(process, 2)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._process is not None:
            began = time.monotonic()
            await _ended(self._process, None)
            if self._stopping:
                return
            self._deaths += 1
            _kill_group(self._process.pid)  # what it leaves behind must not work on beside its successor
            if time.monotonic() - began > HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            logger.warning(
                f"{self.program.name} ended: starting it again", exit_code=self._process.returncode, pause_seconds=pause
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            if not self._stopping:
                self._spawn()

    def _spawn(self) -> None:
        with contextlib.ExitStack() as opened:
            output = opened.enter_context(self.program.output.open("ab")) if self.program.output else None
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self.program.command,
                env=dict(self.program.environment),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
                preexec_fn=_die_with_parent(self.program.stop_signal),  # noqa: PLW1509 - only one thread forks here
            )

    def _where(self) -> str:
        return f"; see {self.program.output}" if self.program.output else ""


def _die_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child does first, where the kernel can: have itself ended when the supervisor is killed."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        if os.getppid() != parent:  # it was killed before we could ask
            os._exit(1)

    return ask


async def _ended(process: "subprocess.Popen[bytes]", seconds: float | None) -> bool:
    """Wait for a process to end, for `seconds` at most; answers whether it did."""
    end = None if seconds is None else time.monotonic() + seconds
    while process.poll() is None:
        if end is not None and time.monotonic() > end:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


def _kill_group(leader: int) -> None:
    """Kill whatever is left in the session that a child led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
