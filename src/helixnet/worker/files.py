"""Files of this machine that an attempt works with: its scratch folder, and copies of its inputs there.

Isolated processes use it too, so it imports nothing of the platform's servers.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from helixnet.processors.context import Input

PIECE_BYTES = 1024 * 1024
SCRATCH_PREFIX = "helix-job-"


class Scratch:
    """The scratch folder of an attempt, made when it is first asked for."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
        return self._folder

    async def remove(self) -> None:
        """Remove it with all that is in it."""
        if self._folder is not None:
            folder, self._folder = self._folder, None
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


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
