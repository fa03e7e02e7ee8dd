"""What a file is by its first bytes: our own table for the usual kinds, puremagic's for the rest.

The table follows what the formats' specifications prescribe. puremagic knows hundreds more, many of them by two or
three bytes alone, which say nothing: it is asked last, and heard where at least four bytes fit.
"""

from dataclasses import dataclass

UNKNOWN = "application/octet-stream"
FEWEST_BYTES = 4
HEAD_BYTES = 8 * 1024
FOOT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of file: its media type, its name in words, and how names of such files end (the usual one first)."""

    media_type: str
    name: str
    extensions: tuple[str, ...] = ()


ZIP = Kind("application/zip", "a ZIP archive", ("zip",))
GZIP = Kind("application/gzip", "a gzip file", ("gz", "tgz"))
BZIP2 = Kind("application/x-bzip2", "a bzip2 file", ("bz2", "tbz2", "tbz"))
XZ = Kind("application/x-xz", "an xz file", ("xz", "txz"))
ZSTD = Kind("application/zstd", "a Zstandard file", ("zst", "tzst"))
TAR = Kind("application/x-tar", "a tar archive", ("tar",))
PDF = Kind("application/pdf", "a PDF document", ("pdf",))
JPEG = Kind("image/jpeg", "a JPEG image", ("jpg", "jpeg", "jpe", "jfif"))
TIFF = Kind("image/tiff", "a TIFF image", ("tiff", "tif", "dng", "nef", "cr2", "arw"))
OGG = Kind("application/ogg", "an Ogg file", ("ogg", "ogx"))
MP3 = Kind("audio/mpeg", "an MP3 sound file", ("mp3", "mpga"))
MP4 = Kind("video/mp4", "an MP4 video", ("mp4", "m4v"))
MATROSKA = Kind("video/matroska", "a Matroska video", ("mkv", "mka", "mks"))
ICON = Kind("image/vnd.microsoft.icon", "an icon", ("ico",))
WINDOWS_PROGRAM = Kind("application/vnd.microsoft.portable-executable", "a Windows program", ("exe", "dll", "sys"))
OLD_OFFICE = Kind("application/x-ole-storage", "an old Microsoft Office document", ("doc", "xls", "ppt", "msi", "msg"))

_AT_START: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", Kind("image/png", "a PNG image", ("png", "apng"))),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", Kind("image/gif", "a GIF image", ("gif",))),
    (b"GIF89a", Kind("image/gif", "a GIF image", ("gif",))),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"8BPS\x00", Kind("image/vnd.adobe.photoshop", "a Photoshop image", ("psd", "psb"))),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", Kind("image/jp2", "a JPEG 2000 image", ("jp2", "jpx", "jpf"))),
    (b"\xff\x0a", Kind("image/jxl", "a JPEG XL image", ("jxl",))),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", Kind("image/jxl", "a JPEG XL image", ("jxl",))),
    (b"%PDF-", PDF),
    (b"%!PS", Kind("application/postscript", "a PostScript document", ("ps", "eps", "ai"))),
    (b"{\\rtf", Kind("application/rtf", "an RTF document", ("rtf",))),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08PK\x03\x04", ZIP),
    (b"\x1f\x8b", GZIP),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"\x04\x22\x4d\x18", Kind("application/x-lz4", "an LZ4 file", ("lz4",))),
    (b"7z\xbc\xaf\x27\x1c", Kind("application/x-7z-compressed", "a 7-Zip archive", ("7z",))),
    (b"Rar!\x1a\x07", Kind("application/vnd.rar", "a RAR archive", ("rar",))),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLD_OFFICE),
    (b"\x7fELF", Kind("application/x-elf", "a program (ELF)", ("elf", "so", "o", "bin"))),
    (b"\xcf\xfa\xed\xfe", Kind("application/x-mach-binary", "a program (Mach-O)", ("dylib",))),
    (b"\xce\xfa\xed\xfe", Kind("application/x-mach-binary", "a program (Mach-O)", ("dylib",))),
    (b"\x00asm", Kind("application/wasm", "a program (WebAssembly)", ("wasm",))),
    (b"SQLite format 3\x00", Kind("application/vnd.sqlite3", "an SQLite database", ("sqlite", "sqlite3", "db"))),
    (b"PAR1", Kind("application/vnd.apache.parquet", "a Parquet file", ("parquet",))),
    (b"ARROW1\x00\x00", Kind("application/vnd.apache.arrow.file", "an Arrow file", ("arrow", "feather"))),
    (b"Obj\x01", Kind("application/avro", "an Avro file", ("avro",))),
    (b"\x89HDF\r\n\x1a\n", Kind("application/x-hdf5", "an HDF5 file", ("h5", "hdf5"))),
    (b"\x93NUMPY", Kind("application/x-npy", "a NumPy array", ("npy",))),
    (b"OggS", OGG),
    (b"fLaC", Kind("audio/flac", "a FLAC sound file", ("flac",))),
    (b"ID3", MP3),
    (b"MThd", Kind("audio/midi", "a MIDI file", ("mid", "midi"))),
    (b"FLV\x01", Kind("video/x-flv", "a Flash video", ("flv",))),
    (b"\x00\x00\x01\xba", Kind("video/mpeg", "an MPEG video", ("mpg", "mpeg", "vob"))),
    (b"\x00\x00\x01\xb3", Kind("video/mpeg", "an MPEG video", ("mpg", "mpeg", "m2v"))),
    (b"wOFF", Kind("font/woff", "a web font", ("woff",))),
    (b"wOF2", Kind("font/woff2", "a web font", ("woff2",))),
    (b"OTTO", Kind("font/otf", "an OpenType font", ("otf",))),
    (b"\x00\x01\x00\x00\x00", Kind("font/ttf", "a TrueType font", ("ttf",))),
    (b"!<arch>\ndebian", Kind("application/vnd.debian.binary-package", "a Debian package", ("deb",))),
    (b"MSCF\x00\x00\x00\x00", Kind("application/vnd.ms-cab-compressed", "a Windows cabinet", ("cab",))),
)
# RIFF, ISO base media (`ftyp`) and Ogg say after a few more bytes what they hold.
_RIFF = {
    b"WAVE": Kind("audio/wav", "a WAV sound file", ("wav",)),
    b"AVI ": Kind("video/x-msvideo", "an AVI video", ("avi",)),
    b"WEBP": Kind("image/webp", "a WebP image", ("webp",)),
}
_BRANDS = (
    (b"avi", Kind("image/avif", "an AVIF image", ("avif",))),
    (b"hei", Kind("image/heic", "an HEIC image", ("heic", "heif"))),
    (b"hev", Kind("image/heic", "an HEIC image", ("heic", "heif"))),
    (b"mif1", Kind("image/heif", "a HEIF image", ("heif", "heic", "avif"))),
    (b"qt", Kind("video/quicktime", "a QuickTime video", ("mov", "qt"))),
    (b"M4A", Kind("audio/mp4", "an MPEG-4 sound file", ("m4a", "mp4"))),
    (b"M4B", Kind("audio/mp4", "an MPEG-4 audio book", ("m4b", "m4a"))),
    (b"3g", Kind("video/3gpp", "a 3GPP video", ("3gp", "3g2"))),
)
_OGG = (
    (b"\x01vorbis", Kind("audio/ogg", "an Ogg Vorbis sound file", ("ogg", "oga"))),
    (b"OpusHead", Kind("audio/ogg", "an Opus sound file", ("opus", "ogg", "oga"))),
    (b"\x80theora", Kind("video/ogg", "an Ogg video", ("ogv", "ogg"))),
)
KNOWN = frozenset(
    kind.media_type
    for kind in (
        *(kind for _mark, kind in _AT_START),
        *_RIFF.values(),
        *(kind for _brand, kind in (*_BRANDS, *_OGG)),
        *(TAR, MP4, MATROSKA, WINDOWS_PROGRAM),
    )
)
"""The media types that are never overlooked: what is said to be of one of them, and is not found to be, is not."""


def by_signature(head: bytes) -> Kind | None:
    """The kind of file that begins so, or None."""
    for mark, kind in _AT_START:
        if head.startswith(mark):
            return _checked(kind, head)
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return Kind("audio/aiff", "an AIFF sound file", ("aiff", "aif", "aifc"))
    if head[4:8] == b"ftyp":
        return next((kind for brand, kind in _BRANDS if head[8:12].startswith(brand)), MP4)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Kind("video/webm", "a WebM video", ("webm",)) if b"webm" in head[:64] else MATROSKA
    if head.startswith((b"\x00\x00\x01\x00", b"\x00\x00\x02\x00")) and 0 < head[4] < 64 and head[5] == 0:
        return ICON
    if head.startswith(b"MZ") and b"\x00" in head[:64]:
        return WINDOWS_PROGRAM
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return Kind("image/bmp", "a BMP image", ("bmp", "dib"))
    if head.startswith(b"\xca\xfe\xba\xbe") and len(head) >= 8:
        # Both Java and Apple took these four; a fat binary has few parts, and no class file is older than version 45.
        java = Kind("application/java-vm", "a Java class", ("class",))
        return java if head[7] >= 45 else Kind("application/x-mach-binary", "a program (Mach-O)", ("dylib",))
    if head[257:262] == b"ustar":
        return TAR
    # A frame of MPEG audio: its layer, bit rate and sampling rate are none of those that there are not.
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] & 0xF0 != 0xF0 and head[2] & 12 != 12:
        return MP3
    return None


def _checked(kind: Kind, head: bytes) -> Kind | None:
    if kind is OGG:
        return next((each for mark, each in _OGG if mark in head[:80]), OGG)
    letters = {"audio/mpeg": 3, "application/vnd.apache.parquet": 4, "application/x-bzip2": 3}
    skipped = letters.get(kind.media_type)
    # Letters alone may begin a text; the real thing has other bytes right after.
    if skipped is not None and not any(byte < 9 or byte > 126 for byte in head[skipped:64]):
        return None
    return kind


def by_puremagic(head: bytes, foot: bytes) -> Kind | None:
    """What puremagic thinks of a binary file that our own table does not know, where it has a media type for it."""
    import puremagic  # here: its tables take 30 ms

    try:
        found = puremagic.magic_string(head[:HEAD_BYTES] + foot[-FOOT_BYTES:])
    except (puremagic.PureError, ValueError):
        return None
    for match in found:
        telling = len(match.byte_match) >= FEWEST_BYTES and match.byte_match.strip(b"\x00")
        if telling and match.mime_type and not match.mime_type.startswith("text/"):
            return Kind(match.mime_type, match.name, tuple(filter(None, (match.extension.strip("."),))))
    return None
