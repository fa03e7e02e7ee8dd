"""All objects of a store as one tar archive, in constant memory: out for a backup, in to restore it."""

import asyncio
import tarfile
from collections.abc import AsyncIterator
from typing import IO, BinaryIO, Final

from helixnet.blobs.store import PIECE_BYTES, BlobStore
from helixnet.errors import NotFound

FORMAT: Final = tarfile.PAX_FORMAT  # any length of name, any size


async def write(blobs: BlobStore, out: BinaryIO) -> int:
    """Write every object to an archive; answers how many. What is purged meanwhile is left out."""
    count = 0
    for key in await blobs.keys(""):
        try:
            size, _ = await blobs.head(key, 1)
            pieces = blobs.stream(key)
            first = await anext(pieces, b"")
        except NotFound:
            continue
        entry = tarfile.TarInfo(key)
        entry.size, entry.mode = size, 0o600
        await asyncio.to_thread(out.write, entry.tobuf(FORMAT) + first)
        async for piece in pieces:
            await asyncio.to_thread(out.write, piece)
        out.write(bytes(-size % tarfile.BLOCKSIZE))
        count += 1
    out.write(bytes(2 * tarfile.BLOCKSIZE))
    out.flush()
    return count


async def read(blobs: BlobStore, source: BinaryIO) -> int:
    """Store every object of an archive; answers how many. Raises tarfile.TarError where it is none, or cut short."""
    count = 0
    with tarfile.open(fileobj=source, mode="r|", format=FORMAT) as archive:
        while (entry := await asyncio.to_thread(archive.next)) is not None:
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise tarfile.ReadError(f"{entry.name} is no object")
            await blobs.put(entry.name, _pieces(content))
            count += 1
    return count


async def _pieces(content: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(content.read, PIECE_BYTES):
        yield piece
