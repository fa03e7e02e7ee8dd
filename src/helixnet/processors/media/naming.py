"""What a file's name and its sender say that it is, held against what it is."""

import mimetypes

from helixnet.processors.base import UNKNOWN_MEDIA_TYPE
from helixnet.processors.media.results import Claim
from helixnet.processors.media.signatures import KNOWN, Kind

# One type under several names; the right column is how our own tables say it.
_SAME = {
    "application/x-zip-compressed": "application/zip",
    "application/x-zip": "application/zip",
    "application/x-gzip": "application/gzip",
    "application/x-bzip": "application/x-bzip2",
    "application/x-zstd": "application/zstd",
    "application/x-pdf": "application/pdf",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "application/x-parquet": "application/vnd.apache.parquet",
    "application/x-msdownload": "application/vnd.microsoft.portable-executable",
    "application/x-msdos-program": "application/vnd.microsoft.portable-executable",
    "application/x-executable": "application/x-elf",
    "application/x-sharedlib": "application/x-elf",
    "application/x-java-archive": "application/java-archive",
    "application/jsonl": "application/x-ndjson",
    "application/x-jsonlines": "application/x-ndjson",
    "application/xhtml+xml": "text/html",
    "text/xml": "application/xml",
    "text/json": "application/json",
    "text/rtf": "application/rtf",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-icon": "image/vnd.microsoft.icon",
    "image/x-ms-bmp": "image/bmp",
    "image/heif": "image/heic",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "audio/x-m4a": "audio/mp4",
    "audio/mp4a-latm": "audio/mp4",
    "audio/opus": "audio/ogg",
    "audio/sp-midi": "audio/midi",
    "video/x-matroska": "video/matroska",
    "video/avi": "video/x-msvideo",
    "video/vnd.avi": "video/x-msvideo",
}
# How names of compressed files end, as `mimetypes` calls it.
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "zstd": "application/zstd",
    "br": "application/x-brotli",
}
_BY_EXTENSION = {
    "zst": "application/zstd",
    "tzst": "application/zstd",
    "parquet": "application/vnd.apache.parquet",
    "ndjson": "application/x-ndjson",
    "jsonl": "application/x-ndjson",
    "7z": "application/x-7z-compressed",
    "rar": "application/vnd.rar",
    "md": "text/markdown",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "toml": "application/toml",
    "flac": "audio/flac",
    "heic": "image/heic",
    "avif": "image/avif",
    "webp": "image/webp",
    "mkv": "video/matroska",
    "epub": "application/epub+zip",
}
# Text of whatever kind: a program or a recipe can't be told from other text by its content.
_TEXTS = frozenset(
    {
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/sql",
        "application/x-sql",
        "application/x-sh",
        "application/x-csh",
        "application/x-tex",
        "application/x-latex",
        "application/x-perl",
        "application/x-httpd-php",
        "application/x-subrip",
        "application/x-python-code",
        "application/typescript",
        "application/n-triples",
        "application/pem-certificate-chain",
        "message/rfc822",
        "video/mp2t",  # what `mimetypes` takes TypeScript for
    }
)
# What old Office programs say of all their files, and Windows of a CSV.
_OLD_OFFICE = frozenset(
    {"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/vnd.ms-outlook"}
)
_MADE_OF_ZIP = frozenset(
    {"zip", "jar", "war", "ear", "apk", "aab", "aar", "ipa", "whl", "egg", "xpi", "crx", "nupkg", "vsix", "cbz", "kmz"}
    | {"3mf", "sketch", "usdz", "oxt", "npz", "pth"}
)


def by_name(filename: str, kind: Kind | None) -> Claim:
    """What the end of the name says, and whether the file is of that kind; `kind` is None for an unknown one."""
    extension = filename.rpartition(".")[2].lower() if "." in filename else ""
    guessed, compression = mimetypes.guess_type(f"x.{filename.rpartition('/')[2]}", strict=False)
    said = _COMPRESSED.get(compression or "") or _BY_EXTENSION.get(extension) or guessed
    if kind is not None and extension in kind.extensions:
        return Claim(media_type=said or kind.media_type, agrees=True)
    if kind is not None and kind.media_type == "application/zip" and extension in _MADE_OF_ZIP:
        return Claim(media_type=said or kind.media_type, agrees=True)
    return _claim(said, kind)


def by_sender(media_type: str, kind: Kind | None) -> Claim:
    """What the sender said, and whether the file is of that kind."""
    said = media_type.partition(";")[0].strip().lower()
    return _claim(None if said in ("", UNKNOWN_MEDIA_TYPE) else said, kind)


def _claim(said: str | None, kind: Kind | None) -> Claim:
    if said is None:
        return Claim(media_type=None, agrees=None)
    if kind is None:
        return Claim(media_type=said, agrees=False if _SAME.get(said, said) in KNOWN else None)
    return Claim(media_type=said, agrees=_fits(_SAME.get(said, said), _SAME.get(kind.media_type, kind.media_type)))


def _fits(said: str, found: str) -> bool:
    if said == found:
        return True
    if found.startswith("text/") or found in _TEXTS:
        # CSV is often sent as plain text or as Excel's; what is plain to us may be any text.
        plain = found == "text/plain" and (said.startswith("text/") or said in _TEXTS)
        return plain or said == "text/plain" or (found == "text/csv" and said == "application/vnd.ms-excel")
    if said == "text/plain":
        return found in ("application/json", "application/x-ndjson", "application/xml", "image/svg+xml")
    if found == "application/x-ole-storage":
        return said in _OLD_OFFICE
    if found == "application/xml":
        return said.endswith("+xml")
    if found in ("application/ogg", "video/mp4", "video/matroska", "audio/ogg", "video/webm"):
        return said.partition("/")[2] == found.partition("/")[2]
    return found == "application/json" and said.endswith("+json")
