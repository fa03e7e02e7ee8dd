"""What a file of rows is, told from its first bytes and its name: format, compression and encoding."""

import codecs
import json
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from helixnet.processors.base import Reject
from helixnet.processors.table.results import Format, QueryParams

Compression = Literal["none", "gzip", "zstd"]

HEAD_BYTES = 256 * 1024
PARQUET = b"PAR1"
_COMPRESSED: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive (an Excel workbook is one, too)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
    (b"%PDF-", "a PDF document"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1", "an Arrow file"),
)
_UTF16, _UTF32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_NAMES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".pq": "parquet", ".json": "json",
    ".ndjson": "ndjson", ".jsonl": "ndjson",
}  # fmt: skip
_PACKED = (".gz", ".gzip", ".zst", ".zstd")


@dataclass(frozen=True, slots=True)
class Recognised:
    """A file and how to read it. `is_object`: JSON that is one object, or several one after the other."""

    format: Format
    compression: Compression = "none"
    encoding: str = "utf-8"
    is_object: bool = False
    is_guessed_encoding: bool = False


def recognise(path: Path, filename: str, params: QueryParams) -> Recognised:
    """What this file is. What the parameters say goes before the content, and the content before the name.

    Raises Reject, naming what it is, if it holds no rows and columns.
    """
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
    if not raw:
        raise Reject("The file is empty.")
    compression: Compression = next((name for magic, name in _COMPRESSED.items() if raw.startswith(magic)), "none")
    head = _unpacked(raw, compression)
    if head.startswith(PARQUET) or params.format == "parquet":
        return _parquet(head, compression)
    named = _named(filename)
    if named == "parquet" and params.format is None:
        raise Reject("The file is called Parquet, but it doesn't begin as a Parquet file does.")
    if any(head.startswith(magic) for magic in _COMPRESSED):
        raise Reject("The file is compressed twice. Compress it once.")
    if kind := next((kind for magic, kind in _OTHERS if head.startswith(magic)), None):
        raise Reject(f"The file is {kind}, not a table. Export it as CSV, JSON or Parquet first.")
    encoding, is_guessed = _encoding(head, len(raw) < HEAD_BYTES, params)
    text = head.decode(encoding, errors="ignore").lstrip("\ufeff \t\r\n")
    format_ = params.format or _format(text, named)
    if format_ not in ("json", "ndjson"):
        return Recognised(format_, compression, encoding, is_guessed_encoding=is_guessed)
    if encoding != "utf-8":
        raise Reject("The file is JSON, but it isn't encoded in UTF-8 as JSON must be.")
    return Recognised(format_, compression, is_object=format_ == "json" and text.startswith("{"))


def _unpacked(raw: bytes, compression: Compression) -> bytes:
    """The first bytes of the content, at most HEAD_BYTES: however small the file, it may hold any number."""
    try:
        if compression == "gzip":
            unpacked = zlib.decompressobj(wbits=31).decompress(raw, HEAD_BYTES)
        elif compression == "zstd":
            if sys.version_info >= (3, 14):
                from compression import zstd
            else:
                from backports import zstd
            unpacked = zstd.ZstdDecompressor().decompress(raw, HEAD_BYTES)
        else:
            return raw
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise Reject(f"The file begins as {compression} does, but it is damaged.") from error
    if not unpacked:
        raise Reject("The file is empty.")
    return unpacked


def _parquet(head: bytes, compression: Compression) -> Recognised:
    if not head.startswith(PARQUET):
        raise Reject("The file is no Parquet file: it doesn't begin as one.")
    if compression != "none":
        raise Reject("The Parquet file is compressed as a whole. Unpack it: Parquet compresses its own columns.")
    return Recognised("parquet")


def _named(filename: str) -> Format | None:
    name = Path(filename.lower())
    return _NAMES.get((Path(name.stem) if name.suffix in _PACKED else name).suffix)


def _encoding(head: bytes, is_whole: bool, params: QueryParams) -> tuple[str, bool]:
    """The encoding in the words of DuckDB's reader, and whether it is no more than a guess."""
    if head.startswith(_UTF32):
        raise Reject("The file is encoded in UTF-32. Save it in UTF-8.")
    if params.encoding == "utf-16" or (params.encoding is None and head.startswith(_UTF16)):
        return "utf-16", False
    # Besides being no text: on a line of zero bytes the reader of CSV takes minutes to say what is wrong with it.
    if b"\x00" in head:
        raise Reject("The file is not a table: it holds zero bytes, so it is no text, or it is damaged.")
    if params.encoding is not None:
        return params.encoding, False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole and len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return "latin-1", True
    return "utf-8", False


def _format(text: str, named: Format | None) -> Format:
    if not text:
        raise Reject("The file holds nothing but white space.")
    if named in ("csv", "tsv"):
        return named
    if text[0] == "[":
        return "json"
    if text[0] == "{":
        return "ndjson" if _has_lines(text, named) else "json"
    if named in ("json", "ndjson"):
        raise Reject("The file is called JSON, but it begins with neither [ nor {.")
    return "csv"


def _has_lines(text: str, named: Format | None) -> bool:
    """Whether each line is a JSON value of its own, as far as the first one tells."""
    line, end, rest = text.partition("\n")
    if not end and len(text) >= HEAD_BYTES // 4:
        return named == "ndjson"
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return bool(rest.strip()) or named == "ndjson"
