"""The bucket of an S3 server of one's own, made before the first object."""

import asyncio
import http.client
from datetime import timedelta
from urllib.parse import urlsplit

import obstore

from helixnet.blobs.s3 import s3_store
from helixnet.config import Settings

PATIENCE_SECONDS = 10
# Already ours, or already somebody's: then the first object tells.
MADE = (http.HTTPStatus.OK, http.HTTPStatus.CONFLICT)


async def make(settings: Settings) -> None:
    """Make the bucket of `storage_url` unless it is there; raises OSError where the server refuses.

    Does nothing for folders, and nothing on AWS (no `storage_endpoint`): there, whoever answers for the account makes
    buckets, with a policy.
    """
    address = urlsplit(settings.storage_url)
    if address.scheme != "s3" or not settings.storage_endpoint:
        return
    bucket = s3_store(settings)
    # Object stores by obstore hold objects, and know nothing of buckets; but the empty key's address is the bucket's.
    signed = await obstore.sign_async(bucket, "PUT", "", timedelta(minutes=1))
    status = await asyncio.to_thread(_put_nothing, signed)
    if status not in MADE:
        raise OSError(f"the bucket {address.netloc} can't be made: {settings.storage_endpoint} answers {status}")


def _put_nothing(address: str) -> int:
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}")
        return connection.getresponse().status
    finally:
        connection.close()
