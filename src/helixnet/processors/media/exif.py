"""EXIF: what the camera wrote into a photo. Where it was taken is told only to those who ask for it."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from helixnet.processors.media.notes import shown
from helixnet.processors.media.results import Location, Value

MOST_TAGS, LONGEST_TEXT, MOST_NUMBERS = 100, 300, 8
# Pointers into the file, and blobs of the makers, in which a location may be hidden.
_LEFT_OUT = frozenset(
    {"ExifOffset", "GPSInfo", "InteroperabilityTag", "SubIFDs", "MakerNote", "MakerNoteSafety", "JpegIFOffset"}
    | {"JpegIFByteCount", "StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "XMLPacket", "IPTCNAA"}
    | {"ImageResources", "InterColorProfile", "PrintImageMatching", "JPEGTables", "ColorMap", "TransferFunction"}
)
_LATITUDE, _LONGITUDE, _BELOW, _HEIGHT = (1, 2), (3, 4), 5, 6


def tags_of(exif: Any) -> dict[str, Value]:
    """The tags of an image's `getexif()` by name, without those that say where or that are no plain values."""
    from PIL.ExifTags import IFD, TAGS

    found: dict[str, Value] = {}
    for number, raw in (*_items(exif), *_items(_folder(exif, IFD.Exif))):
        name = TAGS.get(number)
        if name is None or name in _LEFT_OUT or name in found:
            continue
        value = _plain(raw)
        if value is not None:
            found[name] = value
        if len(found) >= MOST_TAGS:
            break
    return found


def location_of(exif: Any) -> Location | None:
    """Where a photo was taken, if it says so in a way that makes sense."""
    from PIL.ExifTags import IFD

    gps = _folder(exif, IFD.GPSInfo)
    latitude, longitude = _degrees(gps, *_LATITUDE, most=90), _degrees(gps, *_LONGITUDE, most=180)
    if latitude is None or longitude is None:
        return None
    height = _number(gps.get(_HEIGHT))
    below = gps.get(_BELOW) in (1, b"\x01")
    return Location(
        latitude=latitude, longitude=longitude, altitude=None if height is None else -height if below else height
    )


def has_location(exif: Any) -> bool:
    """Whether anything is written of where it was taken, right or wrong."""
    from PIL.ExifTags import IFD

    return bool(_folder(exif, IFD.GPSInfo))


def _folder(exif: Any, number: int) -> Mapping[int, Any]:
    try:
        found = exif.get_ifd(number)
    except Exception:  # noqa: BLE001 - a broken directory fails in many ways, and says nothing then
        return {}
    return found if isinstance(found, Mapping) else {}


def _items(exif: Any) -> Iterator[tuple[int, Any]]:
    """The tags that can be read; each is decoded when it is asked for, and may fail by itself."""
    for number in list(exif):
        with contextlib.suppress(Exception):
            yield number, exif[number]


def _plain(raw: Any) -> Value:
    if isinstance(raw, str):
        return shown(raw.replace("\x00", " ").strip(), LONGEST_TEXT) or None
    if isinstance(raw, bytes):
        # Versions are four letters; other bytes are of the makers' own.
        return raw.decode() if 0 < len(raw) <= 8 and raw.isalnum() and raw.isascii() else None
    if isinstance(raw, tuple):
        numbers = [_number(each) for each in raw[:MOST_NUMBERS]]
        return [each for each in numbers if each is not None] or None
    return _number(raw)


def _number(raw: Any) -> float | int | None:
    try:
        number: float | int = int(raw) if isinstance(raw, int) else round(float(raw), 6)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if abs(number) < 2**53 else None  # neither infinite nor NaN


def _degrees(gps: Mapping[int, Any], sign: int, place: int, most: int) -> float | None:
    parts = gps.get(place)
    if not isinstance(parts, tuple) or len(parts) != 3:
        return None
    numbers = [_number(part) for part in parts]
    if any(number is None for number in numbers):
        return None
    degrees = sum((number or 0) / 60.0**power for power, number in enumerate(numbers))
    if not 0 <= degrees <= most:
        return None
    return round(-degrees if str(gps.get(sign, "")).strip("\x00 ").upper() in ("S", "W") else degrees, 6)
