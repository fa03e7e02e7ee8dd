"""Object storage: streams in and out of a local folder or any S3 server, hashed on the way."""

from helixnet.blobs.store import BlobStore, StoredBlob

__all__ = ["BlobStore", "StoredBlob"]
