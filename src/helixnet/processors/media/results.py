"""The parameters and the result of `media.inspect`, as they stand in the job and in result.json."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

EntryKind = Literal["file", "folder", "link", "other"]
Value = str | int | float | bool | list[int | float] | None


class InspectParams(BaseModel):
    """How much to tell."""

    model_config = ConfigDict(extra="forbid")

    hashes: Annotated[
        list[Literal["md5", "sha1", "sha512", "blake2b"]],
        Field(max_length=4, description="Hashes to take besides SHA-256."),
    ] = []
    entries: Annotated[int, Field(ge=0, le=10_000, description="Entries of an archive that are listed, at most.")] = 200
    thumbnail: Annotated[
        int, Field(ge=0, le=1024, description="The longer side of an image's thumbnail, in pixels; 0 for none.")
    ] = 256
    thumbnail_format: Annotated[Literal["webp", "png"], Field(description="The format of the thumbnail.")] = "webp"
    location: Annotated[bool, Field(description="Whether to tell where a photo was taken.")] = False


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class Warned(_Result):
    """Something to know before the file is opened or unpacked."""

    code: Annotated[str, Field(description="A word for programs; the how-to page lists them.")]
    message: Annotated[str, Field(description="A sentence for people.")]


class FileType(_Result):
    media_type: Annotated[str, Field(description="`application/octet-stream` where nothing is known.")]
    name: Annotated[str, Field(description="The type in words.")]
    extensions: Annotated[list[str], Field(description="How names of such files end; the usual one first.")]
    told_by: Annotated[
        Literal["signature", "container", "text", "nothing"],
        Field(description="By its first bytes, by what it holds, by being text, or not at all."),
    ]


class Claim(_Result):
    """What the file's name, or its sender, says that it is."""

    media_type: Annotated[str | None, Field(description="None where nothing is said.")]
    agrees: Annotated[bool | None, Field(description="None where nothing is said, or nothing could be told.")]


class TextFacts(_Result):
    encoding: Annotated[str, Field(description="The Python codec that the beginning is decoded with.")]
    bom: Annotated[bool, Field(description="Whether the file begins with a byte order mark.")]
    line_ends: Annotated[Literal["lf", "crlf", "cr", "mixed", "none"], Field(description="Of the beginning.")]


class Entry(_Result):
    name: str
    kind: EntryKind
    size: Annotated[int, Field(description="Bytes when unpacked, as the archive says.")]
    packed: Annotated[int | None, Field(description="Bytes in the archive, where it tells.")] = None
    modified: Annotated[str | None, Field(description="ISO 8601; of ZIP in the local time of whoever packed it.")] = (
        None
    )
    target: Annotated[str | None, Field(description="Where a link leads.")] = None
    encrypted: bool = False


class Archive(_Result):
    format: Annotated[str, Field(description="zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst, gzip, bzip2, xz or zstd.")]
    entries: int
    files: int
    unpacked: Annotated[
        int, Field(description="Bytes: of ZIP and tar as they say, of one compressed file as it was unpacked here.")
    ]
    ratio: Annotated[float, Field(description="`unpacked` for each byte of the file.")]
    encrypted: int = 0
    complete: Annotated[bool, Field(description="False where reading stopped early; a warning says why.")]
    holds: Annotated[str | None, Field(description="The media type of what one compressed file holds.")] = None
    listing: list[Entry]


class Location(_Result):
    latitude: float
    longitude: float
    altitude: Annotated[float | None, Field(description="Metres above sea level.")] = None


class ImageFacts(_Result):
    format: str
    width: Annotated[int, Field(description="As stored; `orientation` may turn it.")]
    height: int
    mode: Annotated[str, Field(description="Pillow's name for the kind of pixel.")]
    frames: Annotated[int | None, Field(description="None where counting them would take too long.")]
    orientation: Annotated[int, Field(ge=1, le=8, description="Of EXIF; 1 is upright.")] = 1
    exif: dict[str, Value]
    has_location: Annotated[bool, Field(description="Whether the file says where it was taken.")]
    location: Annotated[Location | None, Field(description="Only with the parameter `location`.")] = None
    thumbnail: Annotated[str | None, Field(description="The name of the artifact.")] = None


class SoundFacts(_Result):
    seconds: float | None
    bitrate: Annotated[float | None, Field(description="Kilobits a second.")]
    sample_rate: Annotated[int | None, Field(description="Hertz.")]
    channels: int | None
    tags: dict[str, str]


class PdfFacts(_Result):
    version: str


class Inspection(_Result):
    """What `media.inspect` finds."""

    filename: str
    size: int
    type: FileType
    by_name: Claim
    declared: Claim
    hashes: dict[str, str]
    text: TextFacts | None = None
    archive: Archive | None = None
    image: ImageFacts | None = None
    sound: SoundFacts | None = None
    pdf: PdfFacts | None = None
    warnings: list[Warned]
