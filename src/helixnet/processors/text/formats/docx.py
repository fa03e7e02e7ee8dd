"""The text of a Word document (Office Open XML, ISO/IEC 29500), by Python's zip and expat.

python-docx would hold the whole document as a tree; this reads it in one pass, in memory that does not grow with it.
No document type is allowed, so no entity can be declared.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from helixnet.processors.base import OverLimit, Reject
from helixnet.processors.text.formats.bounds import Bounds

LARGEST_PART = 256 * 1024 * 1024
"""Bytes of XML that a part may inflate to."""
MOST_RATIO = 100
"""Bytes for each byte in the archive from which a large part is taken for a bomb; real documents have up to 30."""
RATIO_FROM = 16 * 1024 * 1024
PIECE_BYTES = 64 * 1024
DEEPEST = 1000
MOST_ENTRIES = 10_000

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "\u2011"}


def paragraphs(path: Path, bounds: Bounds) -> Iterator[str]:
    """The text of the document in pieces, its paragraphs parted by blank lines; then foot- and endnotes.

    Text that was deleted under revision is left out. Raises Reject for what is no Word document or is damaged, and
    OverLimit for a zip bomb.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if len(names) > MOST_ENTRIES:
                raise OverLimit(f"The archive holds {len(names):,} files; a document has at most {MOST_ENTRIES:,}.")
            if _PARTS[0] not in names:
                raise Reject(
                    "The content is a ZIP archive (Word, Excel, PowerPoint and OpenDocument files are ZIP archives, "
                    "too), but not a Word document. Save or export it as plain text first."
                )
            for part in _PARTS:
                if part in names:
                    yield from _part(archive, archive.getinfo(part), bounds)
    except expat.ExpatError as error:
        raise Reject(f"The Word document is damaged: {error}.") from error
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise Reject(f"The Word document is damaged, or locked by a password: {error}.") from error


def _part(archive: zipfile.ZipFile, part: zipfile.ZipInfo, bounds: Bounds) -> Iterator[str]:
    # What is said of the size holds: zipfile hands out no more than that.
    bomb = part.file_size > RATIO_FROM and part.file_size > MOST_RATIO * max(part.compress_size, 1)
    if bomb or part.file_size > LARGEST_PART:
        raise OverLimit(
            f"The Word document is a zip bomb, or too large: {part.filename} has {part.file_size:,} bytes, "
            f"made of {part.compress_size:,}."
        )
    reading = _Reading()
    with archive.open(part) as file:
        while piece := file.read(PIECE_BYTES):
            bounds.look()
            reading.parser.Parse(piece, False)
            yield bounds.take(reading.taken())
        reading.parser.Parse(b"", True)
    yield bounds.take(reading.taken())


class _Reading:
    """Text out of the stream of a part's elements."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self._pieces: list[str] = []
        self._depth = 0
        self._in_text = 0

    def taken(self) -> str:
        """What came since it was last asked for."""
        text = "".join(self._pieces)
        self._pieces.clear()
        return text

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise OverLimit(f"The Word document is nested deeper than {DEEPEST:,} levels.")
        word = _local(name)
        if word == "t":
            self._in_text += 1
        elif word in _BREAKS:
            self._pieces.append(_BREAKS[word])

    def _end(self, name: str) -> None:
        self._depth -= 1
        word = _local(name)
        if word == "t":
            self._in_text -= 1
        elif word == "p":
            self._pieces.append("\n\n")

    def _characters(self, text: str) -> None:
        if self._in_text:
            self._pieces.append(text)


def _local(name: str) -> str:
    """The name of an element of WordprocessingML; empty for those of drawings and formulas."""
    space, _, local = name.rpartition(" ")
    return local if space in (_WORD, _STRICT) else ""


def _refuse_doctype(*_about: Any) -> None:
    raise Reject("The Word document declares a document type, which none does: it was made to harm.")
