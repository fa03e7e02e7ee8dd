"""Where the numbers of a process are: in memory of its own, or in a file that the service's exporter reads.

Each process of a service has two files in one folder: `numbers`, mapped into memory, one double for each place, and
`series`, a line for each series with its first place. A number is counted up with a write to memory, whoever reads; a
process that is killed leaves what it counted. The lock on `series` says that the process lives.
"""

import contextlib
import errno
import fcntl
import json
import logging
import mmap
import os
import threading
import uuid
from array import array
from collections.abc import Sequence
from pathlib import Path

# 256 KiB on the disk for each process, of which only what is used takes memory.
PLACES = 32 * 1024
FOLDER_VARIABLE = "HELIXNET_METRICS_FOLDER"


class Values:
    """The numbers of this process. `lock` guards `numbers` against the process's other threads."""

    def __init__(self) -> None:
        self.numbers: array[float] | memoryview[float] = array("d", bytes(8 * PLACES))
        self.lock = threading.Lock()
        self._lines: list[str] = []
        self._used = 0
        self._file: int | None = None
        self.shared_by: int | None = None

    def place(self, metric: str, labels: Sequence[str], count: int) -> int | None:
        """The first of `count` places for a new series; None while there is no room for it. Call it under the lock."""
        first = self._used
        if first + count > PLACES:
            return None
        line = json.dumps([metric, list(labels), first]) + "\n"
        if self._file is not None and not _append(self._file, line):
            return None
        self._used += count
        self._lines.append(line)
        return first

    def share(self, folder: Path, *, anew: bool) -> None:
        """Keep the numbers in files of the folder from here on: those so far, or all at zero when `anew`."""
        name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        numbers = os.open(folder / f"{name}.numbers", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # To write where a mapped file has holes and the disk no room would kill the process.
        os.posix_fallocate(numbers, 0, 8 * PLACES)
        mapped = memoryview(mmap.mmap(numbers, 8 * PLACES)).cast("d")
        os.close(numbers)
        growing = folder / f"{name}.new"
        series = os.open(growing, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        # Of the process, not of the open file: children that are forked later do not keep it.
        fcntl.lockf(series, fcntl.LOCK_EX)
        with self.lock:
            if not _append(series, "".join(self._lines)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if not anew:
                mapped[: self._used] = memoryview(self.numbers)[: self._used]
            self.numbers, self._file, self.shared_by = mapped, series, os.getpid()
        growing.rename(folder / f"{name}.series")  # only now it is seen, locked


def _append(file: int, lines: str) -> bool:
    """Write lines at the file's end; where there is no room for all of them, none is left and the answer is no."""
    content, end = lines.encode(), os.lseek(file, 0, os.SEEK_END)
    try:
        if os.write(file, content) == len(content):
            return True
    except OSError:
        pass
    with contextlib.suppress(OSError):
        os.ftruncate(file, end)
    return False


VALUES = Values()


def join() -> None:
    """Become one of the service's processes, if its main process serves metrics; called where a process starts."""
    if VALUES.shared_by != os.getpid():
        _join(anew=False)


def join_after_fork() -> None:
    """As `join`, in a forked child: what its parent counted is the parent's."""
    VALUES.lock = threading.Lock()  # somebody may have held it at the fork
    _join(anew=True)


def _join(*, anew: bool) -> None:
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        try:
            VALUES.share(Path(folder), anew=anew)
        except OSError as error:
            logging.getLogger("helix.metrics").warning("what this process counts is not served: %s", error)
