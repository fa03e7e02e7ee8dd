"""A job's files on its page: to download, and those that a page can show without harm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from helixnet.artifacts.schemas import ArtifactView
from helixnet.errors import NotFound
from helixnet.jobs import service as jobs
from helixnet.web.deps import Platform
from helixnet.web.downloads import attachment, picture
from helixnet.web.pages.guard import PageRoute, by_htmx
from helixnet.web.pages.render import page
from helixnet.web.pages.visitor import CurrentVisitor, PageReader

LARGEST_IMAGE = 8 * 1024 * 1024
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
PREVIEW_BYTES = 16 * 1024
TEXT_TYPES = frozenset(
    {
        "application/json",
        "application/ndjson",
        "application/sql",
        "application/x-ndjson",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
    }
)

router = APIRouter(prefix="/jobs/{job_id}/artifacts/{artifact_id}", route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file, and whether the page shows it as a picture or offers its beginning as text."""

    about: ArtifactView
    as_image: bool
    as_text: bool


def shown(artifacts: Sequence[ArtifactView]) -> list[ShownFile]:
    return [ShownFile(about, _may_be_image(about), _is_text(about)) for about in artifacts]


async def artifact(
    platform: Platform, _who: CurrentVisitor, reader: PageReader, job_id: UUID, artifact_id: UUID
) -> ArtifactView:
    """The file of the address, if the job is the reader's; raises NotFound."""
    async with platform.database.transaction() as session:
        return await jobs.artifact(session, reader, job_id, artifact_id)


CurrentArtifact = Annotated[ArtifactView, Depends(artifact)]


@router.get("")
async def download(platform: Platform, found: CurrentArtifact) -> Response:
    """An input or output, as a file that no browser opens by itself."""
    return await attachment(platform.blobs, found)


@router.get("/image")
async def image(platform: Platform, found: CurrentArtifact) -> Response:
    """An output as a picture in the page, for what its bytes say that it is. Raises NotFound for all else."""
    if not _may_be_image(found):
        raise NotFound("This file can't be shown as a picture.")
    return await picture(platform.blobs, found)


@router.get("/preview")
async def preview(request: Request, platform: Platform, who: CurrentVisitor, found: CurrentArtifact) -> Response:
    """The beginning of a file as text, escaped whatever it holds. Raises NotFound for what is no text."""
    if not _is_text(found):
        raise NotFound("This file can't be shown as text.")
    size, start = await platform.blobs.head(found.storage_key, PREVIEW_BYTES)
    template = "parts/preview.html" if by_htmx(request) else "preview.html"
    text = start.decode(errors="replace")
    return page(template, who=who, file=found, text=text, shown=len(start), size=size)


def _may_be_image(about: ArtifactView) -> bool:
    return about.direction == "output" and _plain(about.media_type) in IMAGE_TYPES and about.size <= LARGEST_IMAGE


def _is_text(about: ArtifactView) -> bool:
    media_type = _plain(about.media_type)
    return media_type.startswith("text/") or media_type in TEXT_TYPES or media_type.endswith("+json")


def _plain(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()
