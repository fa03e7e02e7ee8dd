"""What a keeper sees of an isolated process while it runs: what it says, what it uses, and what it wants to start."""

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from helixnet.processors.base import ProcessLimits

# Its last words, as a native library speaks them before it ends the process.
LAST_WORDS_BYTES = 8 * 1024
PIPE_BYTES = 64 * 1024
# How often its use is looked at; seldom enough that looking takes a tenth of a core at most.
LOOK_SECONDS, LOOKING_PART = 0.25, 0.1
# What a file takes at least: empty ones fill a file system as well.
SMALLEST_FILE_BYTES, BLOCK_BYTES = 4096, 512

# linux/seccomp.h: struct seccomp_notif and seccomp_notif_resp, and the requests that take them
_ASKED_BYTES, _ANSWER = 80, struct.Struct("=QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1


class LastWords:
    """What the process writes to its standard error: the end of it is kept."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        self._said = deque[bytes]()
        os.set_blocking(pipe, False)

    def hear(self) -> bool:
        """Take what has come; False once nobody can say anything any more."""
        with contextlib.suppress(BlockingIOError):
            while said := os.read(self.pipe, PIPE_BYTES):
                self._said.append(said[-LAST_WORDS_BYTES:])
                while sum(map(len, self._said)) - len(self._said[0]) >= LAST_WORDS_BYTES:
                    self._said.popleft()
            return False
        return True

    @property
    def text(self) -> str:
        return b"".join(self._said)[-LAST_WORDS_BYTES:].decode(errors="replace")


class Consent:
    """Agrees to processes that are to start, as long as they are few enough."""

    def __init__(self, listener: int, most: int) -> None:
        self.listener = listener
        self._most = most

    def answer(self) -> bool:
        """Answer one request; False when it was one too many."""
        asked = bytearray(_ASKED_BYTES)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, asked)
        except OSError:
            return True  # who asked has been killed meanwhile
        (number,) = struct.unpack_from("=Q", asked)
        # The process itself is not one that it started.
        agreed = len(descendants()) - 1 < self._most
        reply = _ANSWER.pack(number, 0, 0, _CONTINUE) if agreed else _ANSWER.pack(number, 0, -errno.EAGAIN, 0)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.listener, _SEND, reply)
        return agreed


class Use:
    """The memory and the scratch folder of a process with all that it started, looked at every now and then."""

    def __init__(self, limits: ProcessLimits, scratch: str) -> None:
        self._limits = limits
        self._scratch = scratch
        self._next = time.monotonic() + LOOK_SECONDS

    @property
    def wait_seconds(self) -> float:
        """How long until it is to be looked at again."""
        return max(0.0, self._next - time.monotonic())

    def excess(self) -> str | None:
        """The limit that it is over, if it is time to look."""
        begun = time.monotonic()
        if begun < self._next:
            return None
        over = None
        if self._limits.scratch_bytes is not None and size_of(self._scratch) > self._limits.scratch_bytes:
            over = "scratch"
        # Alone it has the kernel's limit.
        if self._limits.memory_bytes is not None and self._limits.processes != 0:
            together = descendants()
            if len(together) > 1 and sum(map(_memory, together)) > self._limits.memory_bytes:
                over = "memory"
        ended = time.monotonic()
        self._next = ended + max(LOOK_SECONDS, (ended - begun) / LOOKING_PART)
        return over


def size_of(folder: str) -> int:
    """What a folder takes on its disk, in bytes; what can't be read is left out."""
    total, folders = 0, [folder]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += max(entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES, SMALLEST_FILE_BYTES)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return total


def descendants() -> list[int]:
    """The processes below this one (Linux)."""
    found, parents = list[int](), [os.getpid()]
    while parents:
        children = list(_children(parents.pop()))
        found += children
        parents += children
    return found


def _children(parent: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in os.scandir(f"/proc/{parent}/task"):
            with contextlib.suppress(OSError):
                yield from map(int, Path(thread.path, "children").read_text().split())


def _memory(pid: int) -> int:
    """What a process has in memory, in bytes; what it shares with others counts for its part."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
