"""A store out to an archive and in again, and the bucket that has to be there first."""

import io
import tarfile

import pytest

from helixnet.blobs import BlobStore, archive, bucket
from helixnet.errors import Unavailable
from tests.conftest import S3Server

pytestmark = pytest.mark.anyio

OBJECTS = {
    "jobs/a/empty": b"",
    "jobs/a/ü " + "n" * 150: b"named with care",
    "uploads/large": bytes(range(256)) * 16_001,
}


async def test_all_objects_come_out_and_in_again(blobs: BlobStore) -> None:
    for key, content in OBJECTS.items():
        await blobs.put(key, content)
    out = io.BytesIO()
    assert await archive.write(blobs, out) == len(OBJECTS)
    await blobs.delete(list(OBJECTS))
    assert await blobs.keys("") == []

    assert await archive.read(blobs, io.BytesIO(out.getvalue())) == len(OBJECTS)

    assert {key: await blobs.get(key, 10_000_000) for key in await blobs.keys("")} == OBJECTS


async def test_an_archive_that_was_cut_short_is_noticed(blobs: BlobStore) -> None:
    await blobs.put("uploads/large", OBJECTS["uploads/large"])
    out = io.BytesIO()
    await archive.write(blobs, out)

    with pytest.raises(tarfile.TarError):
        await archive.read(blobs, io.BytesIO(out.getvalue()[:100_000]))


async def test_a_bucket_is_made_once(s3: S3Server) -> None:
    settings = s3.settings("").model_copy(update={"storage_url": "s3://another-bucket"})
    with pytest.raises(Unavailable):
        await BlobStore(settings).put("a", b"a")

    await bucket.make(settings)
    await bucket.make(settings)

    assert (await BlobStore(settings).put("a", b"a")).size == 1


async def test_a_store_that_refuses_is_no_bucket(s3: S3Server) -> None:
    settings = s3.settings("").model_copy(update={"storage_url": "s3://UPPER_case"})

    with pytest.raises(OSError, match="can't be made"):
        await bucket.make(settings)
