"""Object storage, on a local folder and on a real S3 server."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.errors import NotFound, TooLarge, Unavailable
from tests.conftest import S3Server, free_port

pytestmark = pytest.mark.anyio

PIECE = bytes(range(256)) * 256


async def pieces(count: int, breaks: Exception | None = None) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE
    if breaks is not None:
        raise breaks


async def test_what_is_put_comes_back_with_its_size_and_hash(blobs: BlobStore) -> None:
    stored = await blobs.put("a/small", b"hello")

    assert (stored.size, stored.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert await blobs.get("a/small", 100) == b"hello"


async def test_a_stream_of_many_parts_comes_back_the_same(blobs: BlobStore) -> None:
    count = 20 * 1024 * 1024 // len(PIECE)

    stored = await blobs.put("a/large", pieces(count))

    digest, size = hashlib.sha256(), 0
    async for piece in blobs.stream("a/large"):
        digest.update(piece)
        size += len(piece)
    assert (size, digest.hexdigest()) == (stored.size, stored.sha256)
    assert size == count * len(PIECE)


async def test_an_empty_object_is_an_object(blobs: BlobStore) -> None:
    assert (await blobs.put("a/empty", pieces(0))).size == 0
    assert await blobs.get("a/empty", 10) == b""
    assert await blobs.head("a/empty", 10) == (0, b"")


async def test_a_source_that_breaks_leaves_no_object(blobs: BlobStore) -> None:
    with pytest.raises(RuntimeError, match="cut"):
        await blobs.put("b/broken", pieces(300, RuntimeError("cut")))

    assert await blobs.keys("b/") == []


async def test_a_source_over_the_limit_leaves_no_object(blobs: BlobStore) -> None:
    with pytest.raises(TooLarge):
        await blobs.put("b/large", pieces(100), limit=1_000_000)

    assert await blobs.keys("b/") == []


async def test_an_upload_that_is_cancelled_leaves_no_object_and_no_source(blobs: BlobStore) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        """As a connection on which nothing comes any more."""
        yield PIECE
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    upload = asyncio.create_task(blobs.put("b/cancelled", silent()))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    async with asyncio.timeout(60):
        await over.wait()

    assert await blobs.keys("b/") == []


async def test_without_an_endpoint_it_is_aws_and_without_keys_the_machines_role() -> None:
    keys = {"storage_access_key": "any", "storage_secret_key": "any"}
    aws = BlobStore(
        Settings.model_validate({"storage_url": "s3://bucket/prefix", "storage_region": "eu-west-1", **keys})
    )

    link = await aws.signed_link("a", timedelta(minutes=1))

    assert link is not None
    assert link.startswith("https://bucket.s3.eu-west-1.amazonaws.com/prefix/a?")
    assert BlobStore(Settings(storage_url="s3://bucket")).folder is None


async def test_a_store_that_can_not_be_reached_is_unavailable(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    blobs = BlobStore(S3Server(free_port()).settings("nowhere"))

    async def read(pieces: AsyncIterator[object]) -> None:
        async for _piece in pieces:
            raise AssertionError("there is none")

    outcomes = await asyncio.gather(
        blobs.put("a", b"hello"),
        blobs.put("a", pieces(3)),
        blobs.get("a", 100),
        blobs.head("a", 100),
        read(blobs.stream("a")),
        blobs.delete(["a"]),
        blobs.keys("a/"),
        blobs.sizes(["a"]),
        read(blobs.pages("a/")),
        blobs.check(),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [Unavailable] * len(outcomes)
    told = capsys.readouterr().out + caplog.text
    assert told.count("the object store failed") == len(outcomes), "the operator hears why"


async def test_a_missing_object_is_not_found(blobs: BlobStore) -> None:
    with pytest.raises(NotFound):
        await blobs.get("nowhere", 10)
    with pytest.raises(NotFound):
        await anext(blobs.stream("nowhere"))


async def test_an_object_over_the_limit_is_not_read(blobs: BlobStore) -> None:
    await blobs.put("c/object", b"x" * 100)

    with pytest.raises(TooLarge):
        await blobs.get("c/object", 99)
    assert await blobs.head("c/object", 10) == (100, b"x" * 10)


async def test_a_prefix_lists_its_own_objects_alone(blobs: BlobStore) -> None:
    for key in ("d/1/a", "d/1/b/c", "d/10/a"):
        await blobs.put(key, b"x")

    assert sorted(await blobs.keys("d/1/")) == ["d/1/a", "d/1/b/c"]
    await blobs.delete(["d/1/a", "d/1/b/c", "d/gone"])
    assert await blobs.keys("d/1/") == []
    assert await blobs.keys("d/10/") == ["d/10/a"]


HANGING = """
import asyncio, sys
from helixnet.blobs import BlobStore
from helixnet.config import Settings

async def pieces():
    for _ in range(40):
        yield bytes(1024 * 1024)
    print("half", flush=True)
    await asyncio.sleep(600)

asyncio.run(BlobStore(Settings(storage_url=sys.argv[1])).put("a/b/large", pieces()))
"""


async def test_what_a_killed_process_left_half_written_is_listed_and_deleted(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/objects"
    blobs = BlobStore(Settings(storage_url=address))
    await blobs.put("a/b/whole", b"hello")
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING, address, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"half\n"
    writer.kill()
    await writer.wait()

    keys = await blobs.keys("a/")
    await blobs.delete([key for key in keys if key != "a/b/whole"])

    assert sorted(keys) == ["a/b/large#1", "a/b/whole"]
    assert [file.name for file in (tmp_path / "objects" / "a" / "b").iterdir()] == ["whole"]
