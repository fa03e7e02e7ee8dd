"""Downloads: stored files as answers that no browser will run."""

from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from helixnet.artifacts.schemas import ArtifactView
from helixnet.blobs import BlobStore


async def attachment(blobs: BlobStore, artifact: ArtifactView) -> StreamingResponse:
    """A stored file, streamed; raises NotFound before the answer begins when the object is gone."""
    content = blobs.stream(artifact.storage_key)
    first = await anext(content, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in content:
            yield piece

    return StreamingResponse(
        whole(),
        media_type=artifact.media_type,
        headers={
            "Content-Length": str(artifact.size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(artifact.filename, safe='')}",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
            "ETag": f'"{artifact.sha256}"',
        },
    )
