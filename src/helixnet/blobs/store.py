"""The object store: one interface over a local folder and any S3 server."""

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, S3Store

from helixnet import log
from helixnet.blobs import watching
from helixnet.blobs.s3 import s3_store
from helixnet.config import Settings
from helixnet.errors import NotFound, TooLarge, Unavailable

PIECE_BYTES = 1024 * 1024
# What an upload may hold in memory is their product; S3's 10,000 parts then carry 80 GB.
PART_BYTES, PARTS_UNDER_WAY = 8 * 1024 * 1024, 3
LOOKS_AT_ONCE = 16
# What obstore calls a file of a folder until it is whole; it never lists one.
HALF_WRITTEN = re.compile(r"#\d+$")

logger = log.logger("helix.blobs")


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """An object as it was written: its key, its size in bytes, its SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class BlobStore:
    """Objects by key. Keys are written once: each attempt has its own, so nothing is ever overwritten by another.

    Every operation raises Unavailable when the store fails or can't be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder: Path | None = None
        self._store = self._open(settings)
        watching.begin()

    @property
    def folder(self) -> Path | None:
        """The folder that holds the objects, if they are in one."""
        return self._folder

    def _open(self, settings: Settings) -> ObjectStore:
        address = urlsplit(settings.storage_url)
        if address.scheme == "file":
            self._folder = Path(unquote(address.path))
            return LocalStore(self._folder, mkdir=True, automatic_cleanup=True)
        if address.scheme != "s3":
            raise ValueError(f"HELIX_STORAGE_URL must begin with file:// or s3://, not {address.scheme!r}")
        return s3_store(settings, address.path.strip("/"))

    async def put(self, key: str, content: bytes | AsyncIterable[bytes], limit: int | None = None) -> StoredBlob:
        """Store an object in one pass and constant memory; raises TooLarge above `limit` bytes.

        When the source fails, or the limit is passed, no object is left.
        """
        source = _Hashed(content, limit)
        with _operation("put", key):
            if isinstance(content, bytes):
                await obstore.put_async(self._store, key, source.whole(content))
            else:
                try:
                    await obstore.put_async(
                        self._store, key, source, chunk_size=PART_BYTES, max_concurrency=PARTS_UNDER_WAY
                    )
                finally:
                    source.end()
            if self._folder is not None:
                await asyncio.to_thread(_make_durable, self._folder / key)
        watching.written(source.size)
        return StoredBlob(key, source.size, source.digest.hexdigest())

    async def get(self, key: str, limit: int) -> bytes:
        """The whole object; raises NotFound, and TooLarge when it has more than `limit` bytes."""
        with _operation("get", key):
            answer = await self._get(key)
            if answer.meta["size"] > limit:
                raise TooLarge(f"The object has {answer.meta['size']} bytes; at most {limit} are read at once.")
            content = bytes(await answer.bytes_async())
        watching.read(len(content))
        return content

    async def head(self, key: str, length: int) -> tuple[int, bytes]:
        """The object's size in bytes, and its first `length` bytes; raises NotFound."""
        with _operation("head", key):
            answer = await self._get(key)
            size: int = answer.meta["size"]
            if size == 0:
                return 0, b""
            start = bytes(await obstore.get_range_async(self._store, key, start=0, end=min(length, size)))
        watching.read(len(start))
        return size, start

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The object in pieces of about a mebibyte; raises NotFound before the first."""
        with _operation("stream", key):
            answer = await self._get(key)
            async for piece in answer.stream(min_chunk_size=PIECE_BYTES):
                content = bytes(piece)
                watching.read(len(content))
                yield content

    async def delete(self, keys: list[str]) -> None:
        """Delete objects; those that are gone already are no error."""
        for key in keys:
            if self._folder is not None and HALF_WRITTEN.search(key):
                await asyncio.to_thread((self._folder / key).unlink, missing_ok=True)
                continue
            with _operation("delete", key), contextlib.suppress(NotFoundError, FileNotFoundError):
                await obstore.delete_async(self._store, key)

    async def keys(self, prefix: str) -> list[str]:
        """The keys under a prefix, which ends at a `/`; in a folder, also what a killed process left half written."""
        with _operation("list", prefix):
            keys = [meta["path"] async for page in obstore.list(self._store, prefix, chunk_size=1000) for meta in page]
        if self._folder is not None:
            keys += await asyncio.to_thread(_half_written, self._folder, prefix)
        return keys

    async def sizes(self, keys: list[str]) -> list[int | None]:
        """The objects' sizes in bytes, in the order of the keys; None for those that are not there."""
        looking = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def size(key: str) -> int | None:
            async with looking:
                try:
                    meta = await obstore.head_async(self._store, key)
                except (NotFoundError, FileNotFoundError):
                    return None
            found: int = meta["size"]
            return found

        with _answering():
            return await asyncio.gather(*map(size, keys))

    async def pages(self, prefix: str, after: str | None = None) -> AsyncIterator[list[str]]:
        """The keys under a prefix, a thousand at a time; `after`: only those behind a key, which need not exist."""
        with _answering():
            async for page in obstore.list(self._store, prefix, offset=after, chunk_size=1000):
                yield [meta["path"] for meta in page]

    async def signed_link(self, key: str, lifetime: timedelta) -> str | None:
        """An address under which anybody may read the object for a while; None where objects are files."""
        if not isinstance(self._store, S3Store):
            return None
        return await obstore.sign_async(self._store, "GET", key, lifetime)

    async def check(self) -> None:
        """Raises Unavailable, or OSError for a folder, when the store can't be reached."""
        with _operation("check"):
            async for _page in obstore.list(self._store, "health/", chunk_size=1):
                return

    async def _get(self, key: str) -> Any:
        try:
            return await obstore.get_async(self._store, key)
        except (NotFoundError, FileNotFoundError) as error:
            raise NotFound("The object is not in storage.", key=key) from error


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Whatever the store raises in the block, and is not caught there, means that it is Unavailable."""
    try:
        yield
    except BaseError as error:
        logger.warning("the object store failed", error=log.first_line(error))
        raise Unavailable("The object store can't do this right now. Try again in a moment.") from error


@contextlib.contextmanager
def _operation(name: str, key: str = "") -> Iterator[None]:
    """An operation on the store, of which is told."""
    with watching.operation(name, key), _answering():
        yield


class _Hashed:
    """A source whose pieces are gathered, counted and hashed as they pass."""

    def __init__(self, content: bytes | AsyncIterable[bytes], limit: int | None) -> None:
        self._content = content
        self._limit = limit
        self.size = 0
        self.digest = hashlib.sha256()
        self._reading: asyncio.Task[Any] | None = None

    def whole(self, content: bytes) -> bytes:
        self._count(content)
        return content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._content, bytes):
            yield self.whole(self._content)
            return
        gathered = bytearray()
        self._reading = asyncio.current_task()
        async for piece in self._content:
            self._count(piece)
            gathered += piece
            if len(gathered) >= PIECE_BYTES:
                yield bytes(gathered)
                gathered.clear()
                self._reading = asyncio.current_task()
        if gathered:
            yield bytes(gathered)

    def end(self) -> None:
        """Nobody wants more of it: end whoever waits for the next piece.

        obstore asks for each piece in a task of its own, which does not hear when the writing is cancelled.
        """
        if self._reading is not None:
            self._reading.cancel()

    def _count(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._limit is not None and self.size > self._limit:
            raise TooLarge(f"The file is larger than the limit of {self._limit} bytes.", limit=self._limit)
        self.digest.update(piece)


def _half_written(folder: Path, prefix: str) -> list[str]:
    files = (file for file in (folder / prefix).rglob("*#*") if HALF_WRITTEN.search(file.name))
    return [file.relative_to(folder).as_posix() for file in files]


def _make_durable(path: Path) -> None:
    """Bring a written file and its name to the disk: an accepted upload survives a power cut."""
    for target in (path, path.parent):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
