"""Stored files as answers that no browser will run: to download, or as a picture in a page."""

from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from helixnet.artifacts.schemas import ArtifactView
from helixnet.blobs import BlobStore
from helixnet.errors import NotFound

HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}
LONGEST_MAGIC = 12


async def attachment(blobs: BlobStore, artifact: ArtifactView) -> StreamingResponse:
    """A stored file, streamed; raises NotFound before the answer begins when the object is gone."""
    first, rest = await _opened(blobs, artifact)
    named = f"attachment; filename*=UTF-8''{quote(artifact.filename, safe='')}"
    return _streamed(artifact, first, rest, artifact.media_type, {"Content-Disposition": named})


async def picture(blobs: BlobStore, artifact: ArtifactView) -> StreamingResponse:
    """A stored picture, streamed, as a page shows it; raises NotFound if it is none by its own first bytes."""
    first, rest = await _opened(blobs, artifact)
    media_type = image_type(first)
    if media_type is None:
        raise NotFound("This file can't be shown as a picture.")
    headers = {
        "Content-Disposition": "inline",
        "Cross-Origin-Resource-Policy": "same-origin",
        # What is stored under an artifact's id never changes.
        "Cache-Control": "private, max-age=3600",
    }
    return _streamed(artifact, first, rest, media_type, headers)


def image_type(content: bytes) -> str | None:
    """PNG, JPEG or WebP, by the bytes that each begins with; None for anything else.

    Source: WHATWG MIME Sniffing Standard, "Matching an image type pattern".
    """
    start = content[:LONGEST_MAGIC]
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if start.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if start.startswith(b"RIFF") and start[8:] == b"WEBP":
        return "image/webp"
    return None


async def _opened(blobs: BlobStore, artifact: ArtifactView) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first piece, of about a mebibyte, and the others."""
    content = blobs.stream(artifact.storage_key)
    return await anext(content, b""), content


def _streamed(
    artifact: ArtifactView, first: bytes, rest: AsyncIterator[bytes], media_type: str, headers: dict[str, str]
) -> StreamingResponse:
    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in rest:
            yield piece

    told = {"Content-Length": str(artifact.size), "ETag": f'"{artifact.sha256}"'}
    return StreamingResponse(whole(), media_type=media_type, headers=told | HARMLESS | headers)
