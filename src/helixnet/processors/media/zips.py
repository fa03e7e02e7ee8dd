"""The entries of a ZIP archive, out of the directory at its end: nothing is unpacked.

The layout is that of PKWARE's APPNOTE.TXT 6.3.10. What makes a bomb of an archive is told from the directory alone:
entries that share their bytes (Fifield, "A better zip bomb", WOOT 2019), sizes that deflate cannot reach, and totals.
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from helixnet.processors.media.archives import Gathering
from helixnet.processors.media.results import EntryKind
from helixnet.processors.media.signatures import Kind

TAIL_BYTES = 64 * 1024**2
"""How much of the end is kept: a directory of some 500,000 entries."""
DEFLATE_RATIO = 1032
"""What deflate makes of a byte at most (zlib's technical details)."""
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s2B5H3L5H2L")
_LOCAL_BYTES = 30
_LONGEST_COMMENT = 0xFFFF
_UNKNOWN, _SHORT = 0xFFFFFFFF, 0x10000
_STORED, _DEFLATED, _UNIX = 0, 8, 3
_IS_ENCRYPTED, _IS_UTF8 = 1, 0x800

_OFFICE = "application/vnd.openxmlformats-officedocument."
_BY_PART = {
    "word/document.xml": Kind(f"{_OFFICE}wordprocessingml.document", "a Word document", ("docx", "docm", "dotx")),
    "xl/workbook.xml": Kind(f"{_OFFICE}spreadsheetml.sheet", "an Excel workbook", ("xlsx", "xlsm", "xltx")),
    "xl/workbook.bin": Kind("application/vnd.ms-excel.sheet.binary.macroenabled.12", "an Excel workbook", ("xlsb",)),
    "ppt/presentation.xml": Kind(f"{_OFFICE}presentationml.presentation", "a presentation", ("pptx", "pptm", "ppsx")),
    "AndroidManifest.xml": Kind("application/vnd.android.package-archive", "an Android app", ("apk", "aab", "aar")),
    "META-INF/MANIFEST.MF": Kind("application/java-archive", "a Java archive", ("jar", "war", "ear")),
}
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_BY_MIMETYPE = {
    "application/epub+zip": Kind("application/epub+zip", "an EPUB book", ("epub",)),
    f"{_OPEN_DOCUMENT}text": Kind(f"{_OPEN_DOCUMENT}text", "an OpenDocument text", ("odt",)),
    f"{_OPEN_DOCUMENT}spreadsheet": Kind(f"{_OPEN_DOCUMENT}spreadsheet", "an OpenDocument spreadsheet", ("ods",)),
    f"{_OPEN_DOCUMENT}presentation": Kind(f"{_OPEN_DOCUMENT}presentation", "a presentation", ("odp",)),
    f"{_OPEN_DOCUMENT}graphics": Kind(f"{_OPEN_DOCUMENT}graphics", "an OpenDocument drawing", ("odg",)),
}


@dataclass(frozen=True, slots=True)
class _Directory:
    """Where the directory is in the file, what it says of itself, and what lies before the archive."""

    start: int
    size: int
    entries: int
    before: int


@dataclass(slots=True)
class _Raw:
    """An entry as the directory has it."""

    name: str
    offset: int
    header: int
    packed: int
    size: int
    method: int
    encrypted: bool
    mode: int
    modified: str | None

    @property
    def kind(self) -> EntryKind:
        if self.name.endswith("/") or stat.S_ISDIR(self.mode):
            return "folder"
        return "link" if stat.S_ISLNK(self.mode) else "file"


def has_directory(tail: bytes) -> bool:
    """Whether a file with this end is a ZIP archive too, whatever it begins as."""
    at = _find_end(tail)
    return at is not None and tail.find(b"PK\x01\x02", 0, at) >= 0


def list_zip(size: int, head: bytes, tail: bytes, found: Gathering) -> Kind | None:
    """Gather the entries of an archive of `size` bytes that ends with `tail`; answers what made it, where known."""
    directory = _directory(size, tail, found)
    if directory is None:
        found.stop("damaged", "The archive has no directory at its end: it is cut off or damaged.")
        return None
    first = size - len(tail)
    if directory.start < first:
        found.entries = directory.entries
        found.stop("entries", f"Its directory says {directory.entries:,} entries, too many to be looked at.")
        return None
    kind = None
    places: list[tuple[int, int]] = []
    for raw in _entries(tail[directory.start - first : directory.start - first + directory.size], found):
        if found.is_full:
            break
        _add(raw, found)
        if raw.kind == "file":
            places.append((raw.offset, raw.offset + raw.header + raw.packed))
            _check_size(raw, found)
        better = _BY_PART.get(raw.name)
        # A jar has a manifest, and so may an app.
        kind = better if better and (kind is None or kind.media_type == "application/java-archive") else kind
    _check_places(places, directory, found)
    if found.complete and (found.entries - directory.entries) % _SHORT:
        found.notes.say("count", f"Its directory says {directory.entries:,} entries and has {found.entries:,}.")
    if directory.before > 0:
        found.notes.say("prefix", f"{directory.before:,} bytes that are not of the archive stand before it.")
    return _by_mimetype(head) or kind


def _find_end(tail: bytes) -> int | None:
    """Where the record is that ends an archive: its comment reaches to the end of the file, or nearly."""
    at = tail.rfind(b"PK\x05\x06", max(0, len(tail) - _END.size - _LONGEST_COMMENT))
    return at if at >= 0 and at + _END.size <= len(tail) else None


def _directory(size: int, tail: bytes, found: Gathering) -> _Directory | None:
    at = _find_end(tail)
    if at is None:
        return None
    *_, entries, length, offset, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        found.notes.say("trailing", "Further bytes follow after the end of the archive.")
    end = size - len(tail) + at
    wide = at - _LOCATOR.size
    if wide >= 0 and tail[wide : wide + 4] == b"PK\x06\x07":
        record = tail.rfind(b"PK\x06\x06", 0, wide)
        if 0 <= record <= wide - _END_64.size:
            *_, entries, length, offset = _END_64.unpack_from(tail, record)
            end = size - len(tail) + record
    start = end - length
    return _Directory(start, length, entries, start - offset) if start >= 0 else None


def _entries(directory: bytes, found: Gathering) -> Iterator[_Raw]:
    at = 0
    while at + _ENTRY.size <= len(directory):
        fields = _ENTRY.unpack_from(directory, at)
        mark, _made, system, _needed, flags, method, time, date, _crc, packed, size, *rest = fields
        name_length, extra_length, comment_length, _disk, _internal, attributes, offset = rest
        if mark != b"PK\x01\x02":
            break
        at += _ENTRY.size
        written = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        size, packed, offset = _wide(extra, size, packed, offset)
        yield _Raw(
            name=written.decode("utf-8" if flags & _IS_UTF8 else "cp437", "replace"),
            offset=offset,
            header=_LOCAL_BYTES + name_length,
            packed=packed,
            size=size,
            method=method,
            encrypted=bool(flags & _IS_ENCRYPTED),
            mode=attributes >> 16 if system == _UNIX else 0,
            modified=_time(date, time),
        )
    if at < len(directory):
        found.stop("damaged", "The directory of the archive is damaged: entries may be missing.")


def _wide(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """(size, packed, offset) with what the ZIP64 field says instead of those that are full."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            values = [value for (value,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8])]
            full = iter(values)
            return tuple(next(full, each) if each == _UNKNOWN else each for each in (size, packed, offset))  # type: ignore[return-value]
        at += 4 + length
    return size, packed, offset


def _time(date: int, time: int) -> str | None:
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    if not (1 <= month <= 12 and day):
        return None
    return f"{year}-{month:02}-{day:02}T{time >> 11:02}:{time >> 5 & 63:02}:{time % 32 * 2:02}"


def _add(raw: _Raw, found: Gathering) -> None:
    kind = raw.kind
    if kind == "link":
        # Where it leads stands in its content, which is not unpacked.
        found.notes.entry("links", raw.name)
    found.add(raw.name, kind, raw.size, packed=raw.packed, modified=raw.modified, encrypted=raw.encrypted)


def _check_size(raw: _Raw, found: Gathering) -> None:
    if raw.method == _STORED:
        possible = raw.encrypted or raw.size == raw.packed
    else:
        possible = raw.method != _DEFLATED or raw.size <= DEFLATE_RATIO * (raw.packed + 1)
    if not possible:
        found.notes.entry("impossible", raw.name)


def _check_places(places: list[tuple[int, int]], directory: _Directory, found: Gathering) -> None:
    """Warn of entries whose bytes lie where others' do, or in the directory."""
    places.sort()
    reached = shared = 0
    for start, end in places:
        shared += start < reached or end > directory.start - directory.before
        reached = max(reached, end)
    if shared:
        found.notes.say(
            "overlaps",
            f"{shared:,} of its {len(places):,} files share their bytes with others, as in a ZIP bomb that overlaps.",
        )


def _by_mimetype(head: bytes) -> Kind | None:
    """By the first entry of OpenDocument and EPUB files, which is called `mimetype` and not packed."""
    if head[30:38] != b"mimetype":
        return None
    packed, extra = struct.unpack_from("<L", head, 18)[0], struct.unpack_from("<H", head, 28)[0]
    said = head[38 + extra : 38 + extra + min(packed, 200)].decode("ascii", "replace").strip()
    return _BY_MIMETYPE.get(said)
