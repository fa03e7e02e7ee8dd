"""Images by Pillow: dimensions, frames, EXIF, and a thumbnail that carries nothing of the original but its look."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helixnet.processors.media.exif import has_location, location_of, tags_of
from helixnet.processors.media.notes import Notes, shown
from helixnet.processors.media.results import ImageFacts, InspectParams

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 50_000_000
"""An image of more is not decoded, at 4 bytes a pixel it would take over 200 MB; JPEG is decoded at a fraction."""
MOST_PIXELS_IN_PARTS = 400_000_000
MOST_BYTES_TO_COUNT = 16 * 1024 * 1024
"""Frames of GIF and TIFF are counted by walking through the file; in a larger one they are not."""
ORIENTATION = 0x0112
_PLUGINS = {
    "image/png": "Png",
    "image/jpeg": "Jpeg",
    "image/gif": "Gif",
    "image/webp": "WebP",
    "image/tiff": "Tiff",
    "image/bmp": "Bmp",
    "image/avif": "Avif",
    "image/jp2": "Jpeg2K",
    "image/vnd.microsoft.icon": "Ico",
}
_FORMATS = {"Jpeg2K": "JPEG2000"}
_COUNTED_BY_WALKING = ("GIF", "TIFF")
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N")


def can_read(media_type: str) -> bool:
    """Whether images of this type are looked into."""
    return media_type in _PLUGINS


def look_at(
    path: Path, media_type: str, size: int, params: InspectParams, notes: Notes
) -> tuple[ImageFacts | None, bytes | None]:
    """The facts of an image, and its thumbnail; None for what can't be had, with a warning that says why."""
    from PIL import Image  # here: 40 ms

    plugin = _PLUGINS[media_type]
    import_module(f"PIL.{plugin}ImagePlugin")
    try:
        # The header alone is read here, so its size is no danger yet.
        with _most_pixels(None), path.open("rb") as file:
            image = Image.open(file, formats=(_FORMATS.get(plugin, plugin.upper()),))
            facts = _facts(image, size, params)
            thumbnail = _thumbnail(image, params, notes) if params.thumbnail else None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders of broken files raise whatever comes to their mind
        notes.say("damaged", f"The image can't be read: it is damaged or cut off ({shown(str(error), 200)}).")
        return None, None
    if thumbnail is not None:
        facts = facts.model_copy(update={"thumbnail": f"thumbnail.{params.thumbnail_format}"})
    return facts, thumbnail


@contextmanager
def _most_pixels(most: int | None) -> Iterator[None]:
    """Pillow's own guard against decompression bombs, which refuses twice what it is set to, at `most` pixels."""
    from PIL import Image

    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None if most is None else most // 2
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = kept


def _facts(image: "Image", size: int, params: InspectParams) -> ImageFacts:
    exif = _exif(image)
    turned = exif.get(ORIENTATION, 1)
    return ImageFacts(
        format=image.format or "",
        width=image.width,
        height=image.height,
        mode=image.mode,
        frames=_frames(image, size),
        orientation=turned if isinstance(turned, int) and 1 <= turned <= 8 else 1,
        exif=tags_of(exif),
        has_location=has_location(exif),
        location=location_of(exif) if params.location else None,
    )


def _exif(image: "Image") -> Any:
    """The image's EXIF, empty where it has none that can be read."""
    from PIL import Image

    if image.format == "PNG" and image.width * image.height > MOST_PIXELS:
        return Image.Exif()  # Pillow decodes a PNG image first, for its EXIF may stand behind the pixels
    try:
        return image.getexif()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - as in look_at
        return Image.Exif()


def _frames(image: "Image", size: int) -> int | None:
    if image.format in _COUNTED_BY_WALKING and size > MOST_BYTES_TO_COUNT:
        return None
    try:
        frames = int(getattr(image, "n_frames", 1))
        image.seek(0)
    except Exception:  # noqa: BLE001 - as in look_at; the first frame may be good all the same
        return None
    return frames


def _thumbnail(image: "Image", params: InspectParams, notes: Notes) -> bytes | None:
    pixels = image.width * image.height
    most = MOST_PIXELS_IN_PARTS if image.format == "JPEG" else MOST_PIXELS
    if pixels > most:
        notes.say(
            "too_many_pixels",
            f"Decoded, the image would take {pixels:,} pixels; above {most:,} no thumbnail is made.",
        )
        return None
    try:
        with _most_pixels(most):
            return _encoded(_reduced(image, params.thumbnail), params.thumbnail_format)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - as in look_at
        notes.say(
            "damaged",
            f"There is no thumbnail, for the image is damaged or cut off ({shown(str(error), 200)}).",
        )
        return None


def _reduced(image: "Image", side: int) -> "Image":
    """A small upright image with the pixels of the first frame, and with none of its metadata."""
    from PIL import Image, ImageOps

    if image.format == "JPEG":
        image.draft(None, (side, side))  # decoded at an eighth, where that is enough
    turned = _exif(image).get(ORIENTATION)
    if image.mode in _DEEP:
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    mode = "RGBA" if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info else "RGB"
    image.load()
    small: Any = image.convert(mode)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    bare = Image.new(mode, small.size)
    bare.paste(small)
    if isinstance(turned, int) and 1 < turned <= 8:
        bare.getexif()[ORIENTATION] = turned
        bare = ImageOps.exif_transpose(bare)
    return bare


def _encoded(image: "Image", form: str) -> bytes:
    # The turn is done, and its note with it: what is saved has no EXIF.
    for key in ("exif", "icc_profile", "xmp", "comment"):
        image.info.pop(key, None)
    kept = io.BytesIO()
    image.save(kept, form, **({"quality": 80, "method": 4} if form == "webp" else {"optimize": True}))
    return kept.getvalue()
