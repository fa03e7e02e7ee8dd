"""What runs, written down: for the guard while the supervisor lives, and in the home for the next start."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from helixnet import log
from helixnet.stack import guard
from helixnet.stack.guard import Trace

logger = log.logger("helix.stack")


class Watch:
    """The running children, by name; what they leave behind is ended whether or not this process gets to it.

    As it is entered, it ends what the file names: the children of a supervisor that was killed with its guard.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._traces: dict[str, Trace] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            for trace in guard.end(guard.load(self._file.read_bytes())):
                logger.warning("ended: it was left over from an earlier run", program=trace.name, pid=trace.pid)
        self._start_guard()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._end_guard()  # of children that nobody stopped, it ends what is left
        self._file.unlink(missing_ok=True)

    def add(self, name: str, pid: int, last_signal: int) -> None:
        """A child has started."""
        born = guard.birth(pid)
        if born is not None:
            self._traces[name] = Trace(name, pid, born, last_signal)
            self._tell()

    def remove(self, name: str) -> None:
        """A child has ended, with its group."""
        if self._traces.pop(name, None) is not None:
            self._tell()

    def _tell(self) -> None:
        """Tell the file and the guard; neither is a reason not to keep the children running."""
        line = guard.dump(self._traces.values())
        try:
            self._write(line)
        except OSError as error:
            logger.warning("what runs could not be written down", error=log.first_line(error))
        try:
            self._send(line)
        except BrokenPipeError:  # somebody killed the guard
            with contextlib.suppress(OSError):
                self._start_guard()
                self._send(line)

    def _write(self, line: bytes) -> None:
        new = self._file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(line)
        new.replace(self._file)

    def _send(self, line: bytes) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.write(line)

    def _start_guard(self) -> None:
        self._end_guard()
        self._guard = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )

    def _end_guard(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
