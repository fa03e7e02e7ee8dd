"""The supervisor: keeps child processes running, and ends them in order with nothing left behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from helixnet import log
from helixnet.errors import CannotStart
from helixnet.stack.guard import descendants_of
from helixnet.stack.watch import Watch

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
# A child that lived this long had started well: its next restart is prompt again.
HEALTHY_SECONDS = 10.0
DEATHS_BEFORE_READY = 3
LOOK_SECONDS = 0.05
LAST_SECONDS = 2.0

logger = log.logger("helix.stack")


class StartFailed(CannotStart):
    """A child can't be brought up; the message says which and where to look."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to keep running.

    `ready` tells whether it serves. `stop_signal` asks it to end, and after `patience` seconds it is killed.
    `last_signal` is what it gets when this process was killed and nobody waits. Output goes to the file `output`, or
    to ours. With `fds` it shares these files of ours. One that `tells_ready` takes `--ready-fd`, and writes there once
    it serves. When a successor has taken over, it gets `retire_signal`, and `retire_patience` seconds.
    The stack is ready without one that is not awaited.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    stop_signal: signal.Signals = signal.SIGTERM
    last_signal: signal.Signals = signal.SIGKILL
    patience: float = 3.0
    output: Path | None = None
    fds: tuple[int, ...] = ()
    tells_ready: bool = False
    retire_signal: signal.Signals = signal.SIGTERM
    retire_patience: float = 10.0
    start_seconds: float = 60.0
    is_awaited: bool = True


@dataclass(eq=False, slots=True)
class Child:
    """A program's process, started again whenever it dies."""

    program: Program
    watch: Watch
    generation: int = 0
    _process: asyncio.subprocess.Process | None = None
    _keeper: "asyncio.Task[None] | None" = None
    _deaths: int = 0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _spawning: asyncio.Lock = field(default_factory=asyncio.Lock)
    _word: int | None = None  # where a process that tells when it is ready will do so

    async def start(self, timeout_seconds: float = 60) -> None:
        """Start it, and wait until it is ready; raises StartFailed."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())
        end = time.monotonic() + timeout_seconds
        while self._process is None or not self._has_given_word() or not await self.program.ready():
            if self._deaths >= DEATHS_BEFORE_READY:
                raise StartFailed(f"{self.program.name} ended {self._deaths} times before it was ready{self._where()}")
            if time.monotonic() > end:
                raise StartFailed(f"{self.program.name} was not ready after {timeout_seconds:g} s{self._where()}")
            await asyncio.sleep(LOOK_SECONDS)

    async def stop(self) -> None:
        """Ask it to end, wait for as long as its patience is, then kill it with everything it started."""
        await self._end(self.program.stop_signal, self.program.patience)

    async def retire(self) -> None:
        """As `stop`, for one whose successor serves already: it has time to finish what it began."""
        await self._end(self.program.retire_signal, self.program.retire_patience)

    async def _end(self, number: signal.Signals, patience: float) -> None:
        self._stopping.set()
        async with self._spawning:
            process = self._process
        if process is not None:
            descendants = descendants_of(process.pid)
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            if not await _ended(process, patience):
                logger.warning("killed: it did not end in time", program=self.program.name, pid=process.pid)
            _kill_group(process.pid)
            for descendant in descendants:
                with contextlib.suppress(psutil.Error):
                    descendant.kill()  # psutil looks first whether it is the same process still
            await _ended(process, LAST_SECONDS)
        if self._keeper is not None:
            await self._keeper
        self._forget_word()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._process is not None:
            process, began = self._process, time.monotonic()
            exit_code = await process.wait()
            self._process = None
            _kill_group(process.pid)  # what it leaves behind must not work on beside its successor
            self.watch.remove(self._key)
            if self._stopping.is_set():
                return
            self._deaths += 1
            if time.monotonic() - began > HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            logger.warning(f"{self.program.name} ended: starting it again", exit_code=exit_code, pause_seconds=pause)
            pause = await self._start_again(pause)

    async def _start_again(self, pause: float) -> float:
        """Start it after a pause, and until that works; answers how long the next pause is to be."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            try:
                await self._spawn()
            except OSError as error:  # no process to be had, or no room on the disk: there may be later
                logger.warning(f"{self.program.name} can't be started: trying again", error=log.first_line(error))
            else:
                break
        return pause

    async def _spawn(self) -> None:
        async with self._spawning:
            if self._stopping.is_set():
                return
            command, fds = self.program.command, self.program.fds
            with contextlib.ExitStack() as opened:
                if self.program.tells_ready:
                    self._forget_word()
                    self._word, telling = os.pipe()
                    os.set_blocking(self._word, False)
                    opened.callback(os.close, telling)
                    command, fds = [*command, "--ready-fd", str(telling)], (*fds, telling)
                output = opened.enter_context(self.program.output.open("ab")) if self.program.output else None
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    env=dict(self.program.environment),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT if output else None,
                    start_new_session=True,
                    pass_fds=fds,
                )
            self.watch.add(self._key, self._process.pid, self.program.last_signal)

    @property
    def _key(self) -> str:
        """A name for the watch: for a while, a program and its successor run side by side."""
        return f"{self.program.name}-{self.generation}" if self.generation else self.program.name

    def _has_given_word(self) -> bool:
        """Whether this very process has said that it serves; one that says nothing is believed."""
        if self._word is None:
            return True
        try:
            told = os.read(self._word, 1) != b""
        except BlockingIOError:
            return False
        if told:
            self._forget_word()
        return told

    def _forget_word(self) -> None:
        if self._word is not None:
            os.close(self._word)
            self._word = None

    def _where(self) -> str:
        return f"; see {self.program.output}" if self.program.output else ""


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> bool:
    """Wait for a process to end, for `seconds` at most; answers whether it did."""
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _kill_group(leader: int) -> None:
    """Kill whatever is left in the session that a child led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
