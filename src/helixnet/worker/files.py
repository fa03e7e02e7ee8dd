"""Files of this machine that an attempt works with: its scratch folder, and copies of its inputs there.

Isolated processes use it too, so it imports nothing of the platform's servers.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from helixnet.processors.context import Input

PIECE_BYTES = 1024 * 1024
# Of folders that are locked; those of releases before are not, and have another name.
SCRATCH_PREFIX = "helix-scratch-"


class Scratch:
    """The scratch folder of an attempt, made when it is first asked for."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock: int | None = None

    @property
    def folder(self) -> Path:
        if self._folder is None:
            self._folder, self._lock = make_scratch()
        return self._folder

    async def remove(self) -> None:
        """Remove it with all that is in it."""
        if self._folder is not None:
            folder, self._folder = self._folder, None
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def make_scratch() -> tuple[Path, int]:
    """An empty folder, and the descriptor that locks it for as long as this process lives or holds it open."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
        # A neighbour may take the new folder for a dead one's; it then is gone, or as good as gone.
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if _lock(descriptor) is not False and folder.exists():
            return folder, descriptor
        os.close(descriptor)


def bury_scratch() -> None:
    """Remove the scratch folders that nobody holds any more: their process was killed, or the machine went down."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*"):
        try:
            if folder.stat(follow_symlinks=False).st_uid != os.geteuid():
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if _lock(descriptor):
                remove_folder(folder)
        finally:
            os.close(descriptor)


def remove_folder(folder: Path) -> None:
    """Remove a scratch folder, also where the processor has taken its own right to a folder away."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent, folders, _files in os.walk(folder):
        for name in folders:
            with contextlib.suppress(OSError):
                path = Path(parent, name)
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _lock(descriptor: int) -> bool | None:
    """Whether the folder is ours now; None where its file system knows no such locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


async def copied(source: Input, folder: Path) -> Path:
    """The input's content as a file of `folder`, copied there the first time."""
    target = folder / f"input-{source.sha256}"
    if not target.exists():
        half = target.with_suffix(".part")
        with half.open("wb") as file:
            async for piece in source.stream():
                await asyncio.to_thread(file.write, piece)
        half.rename(target)
    return target


async def content_of(path: Path) -> AsyncIterator[bytes]:
    """A file's content in pieces."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(_piece, file):
            yield piece


def _piece(file: IO[bytes]) -> bytes:
    return file.read(PIECE_BYTES)
