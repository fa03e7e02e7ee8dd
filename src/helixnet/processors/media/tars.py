"""The entries of a tar archive, as it streams by: nothing is kept, whatever is skipped is not looked at.

The standard library reads each header block (`TarInfo.frombuf`); what reads whole archives there keeps every entry,
and reads extended headers of any length into memory, so the walk from header to header is ours (POSIX pax, GNU tar).
"""

import re
import tarfile
from datetime import UTC, datetime

from helixnet.processors.media.archives import Gathering
from helixnet.processors.media.names import check_link
from helixnet.processors.media.reading import Reader
from helixnet.processors.media.results import EntryKind

BLOCK = 512
LONGEST_HEADER = 1024 * 1024
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
# Where GNU tar says that the map of a sparse file goes on in the next block: in the header, and in such blocks.
_SPARSE_GOES_ON, _SPARSE_GOES_ON_AFTER = 482, 504
_RECORD = re.compile(rb"(\d{1,8}) ([^=\n]+)=")
_BAD = tarfile.HeaderError


def begins_as_tar(head: bytes) -> bool:
    """Whether this is a header block: its checksum is right, and it has a name."""
    try:
        return bool(tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape").name)
    except _BAD:
        return False


def list_tar(reader: Reader, found: Gathering) -> None:
    """Gather the entries up to the end, or up to what is damaged or too much."""
    pax: dict[str, str] = {}
    while not found.is_full:
        at = reader.position
        block = reader.read(BLOCK)
        if len(block) < BLOCK:
            found.complete = not block
            found.notes.say("cut_off", "The archive lacks its end: it may be cut off.")
            return
        if not any(block):
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except _BAD as error:
            found.stop("damaged", f"The archive is damaged at byte {at:,}: {error}.")
            return
        if header.size < 0:
            found.stop("damaged", f"The archive is damaged at byte {at:,}: a size below zero.")
            return
        if header.type in (*_EXTENDED, tarfile.XGLTYPE, _LONG_NAME, _LONG_LINK):
            pax |= _extended(header, reader, found)
            continue
        if header.type == tarfile.GNUTYPE_SPARSE and block[_SPARSE_GOES_ON]:
            while (more := reader.read(BLOCK)) and more[_SPARSE_GOES_ON_AFTER : _SPARSE_GOES_ON_AFTER + 1] > b"\x00":
                pass
        size = _size(header, pax)
        _add(header, pax, size, found)
        pax = {}
        # Only what has content is followed by it, whatever the others say of their size.
        if (header.isreg() or header.type not in tarfile.SUPPORTED_TYPES) and not reader.skip(_padded(size)):
            found.stop("cut_off", "The archive ends in the middle of an entry: it is cut off.")
            return


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _size(header: tarfile.TarInfo, pax: dict[str, str]) -> int:
    written = pax.get("size", "")
    return int(written) if written.isdecimal() and len(written) < 20 else header.size


def _extended(header: tarfile.TarInfo, reader: Reader, found: Gathering) -> dict[str, str]:
    """What a header says of the entry that follows it."""
    if header.size > LONGEST_HEADER:
        found.notes.entry("header_too_long", header.name)
        reader.skip(_padded(header.size))
        return {}
    content = reader.read(_padded(header.size))[: header.size]
    if header.type == tarfile.XGLTYPE:
        return {}
    if header.type in (_LONG_NAME, _LONG_LINK):
        key = "path" if header.type == _LONG_NAME else "linkpath"
        return {key: content.partition(b"\x00")[0].decode("utf-8", "surrogateescape")}
    return _records(content)


def _records(content: bytes) -> dict[str, str]:
    """The records of a pax header, each `length key=value` and a line end."""
    records: dict[str, str] = {}
    at = 0
    while (match := _RECORD.match(content, at)) is not None:
        end = at + int(match[1])
        if end <= match.end() or end > len(content):
            break
        value = content[match.end() : end - 1].decode("utf-8", "surrogateescape")
        key = match[2].decode("utf-8", "replace")
        if key in ("path", "linkpath", "size"):
            records[key] = value
        elif key == "GNU.sparse.name":
            records["path"] = value
        at = end
    return records


def _add(header: tarfile.TarInfo, pax: dict[str, str], size: int, found: Gathering) -> None:
    name = pax.get("path", header.name)
    link = header.issym() or header.islnk()
    target = pax.get("linkpath", header.linkname) if link else None
    if target is not None:
        check_link(name, target, found.notes, hard=header.islnk())
    elif header.isdev():
        found.notes.entry("devices", name)
    modified = _time(header.mtime) if found.is_listing else None
    has_content = not (link or header.isdir() or header.isdev())
    found.add(name, _kind(header), size if has_content else 0, modified=modified, target=target)


def _kind(header: tarfile.TarInfo) -> EntryKind:
    if header.isdir():
        return "folder"
    if header.issym() or header.islnk():
        return "link"
    return "other" if header.isdev() else "file"


def _time(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return None
