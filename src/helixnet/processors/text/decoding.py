"""From bytes to text: find the encoding, or say in words what the file is instead."""

import codecs
import itertools
import re
from dataclasses import dataclass

from helixnet.processors.base import Reject
from helixnet.processors.text.language import likeness

SAMPLE_BYTES = 64 * 1024
MOST_CONTROL_CHARACTERS = 0.005
"""The share of control characters from which a file is no text. Random bytes have about a tenth."""
CHARACTERS_PER_FLAW = 20
"""Well-formed multi-byte characters for each broken byte, from which a file counts as damaged UTF-8."""
LATIN_SHARE = 0.3
"""The share of accented letters that a text in Latin letters stays under."""
FEWEST_BYTES = 24
"""With less than that nothing can be told: Latin letters are taken to be in the most usual encoding."""

_SIGNATURES = (
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"PK\x03\x04", "a ZIP archive (Word, Excel, PowerPoint and OpenDocument files are ZIP archives, too)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program (ELF)"),
    (b"\xca\xfe\xba\xbe", "a program (Java class or Mach-O)"),
    (b"\xcf\xfa\xed\xfe", "a program (Mach-O)"),
    (b"\x00asm", "a program (WebAssembly)"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"OggS", "an Ogg sound or video file"),
    (b"fLaC", "a FLAC sound file"),
    (b"ID3", "an MP3 sound file"),
    (b"RIFF", "a RIFF file (WAV, AVI or WebP)"),
)
_BOMS = (  # UTF-32 before UTF-16, whose mark its own begins with
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What files are really written in, the more usual first: where two fit alike, the first is taken.
_ENCODINGS = (
    "cp1252", "cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1251", "koi8_r", "koi8_u", "cp1250", "iso8859_2",
    "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_15", "latin_1", "mac_roman", "cp850",
)  # fmt: skip
_CONTROL_BYTES = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROL_CHARACTERS = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text; `encoding` is the codec that `bytes.decode` reads it with, `flaws` the broken bytes shown as U+FFFD."""

    text: str
    encoding: str
    bom: bool
    flaws: int = 0


def decode(content: bytes, what: str = "file") -> Decoded:
    """The text in these bytes. Line ends stay as they are, so that offsets hold on the decoded file.

    A byte order mark decides; else UTF-8 if it is that; else one of the older encodings, told by charset-normalizer
    and by which reading has the most function words of a language. Raises Reject, with the kind of file where it is
    known, if this is no text.
    """
    if not content:
        raise Reject(f"The {what} is empty.")
    decoded = _by_mark(content, what)
    if decoded is None:
        if kind := _kind(content):
            raise Reject(f"The {what} is {kind}, not a text. Save or export it as plain text first.")
        decoded = _wide(content) or _iso_2022_jp(content)
    if decoded is None:
        share = len(_CONTROL_BYTES.findall(content[:SAMPLE_BYTES])) / min(len(content), SAMPLE_BYTES)
        if share > MOST_CONTROL_CHARACTERS:
            raise _not_text(what)
        decoded = _utf8(content) or _legacy(content)
    if decoded is None or not _readable(decoded.text):
        raise _not_text(what)
    if not decoded.text.strip("\x00\ufeff \t\r\n\f\v\x85\xa0\u2028\u2029\u3000"):
        raise Reject(f"The {what} holds nothing but white space.")
    return decoded


def _not_text(what: str) -> Reject:
    return Reject(f"The {what} is not a text: it holds binary data, or it is damaged.")


def _kind(content: bytes) -> str | None:
    for signature, kind in _SIGNATURES:
        # A text may begin with the letters RIFF or ID3; the real thing holds control bytes right after.
        if content.startswith(signature) and (not signature.isalnum() or _CONTROL_BYTES.search(content[:64])):
            return kind
    if content[257:262] == b"ustar":
        return "a tar archive"
    if content[4:8] == b"ftyp":
        return "an MP4 or HEIF file"
    if content.startswith(b"MZ") and b"\x00" in content[:64]:
        return "a Windows program"
    return None


def _by_mark(content: bytes, what: str) -> Decoded | None:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            try:
                return Decoded(content.decode(encoding), encoding, bom=True)
            except UnicodeDecodeError as error:
                if encoding == "utf-8-sig":
                    return _damaged_utf8(content, encoding)
                name = encoding.upper()
                raise Reject(
                    f"The {what} begins as {name} text, but it is damaged near byte {error.start:,}."
                ) from error
    return None


def _wide(content: bytes) -> Decoded | None:
    """UTF-16 without a mark, known by the zero bytes that Latin letters and spaces have in every other place."""
    sample = content[:SAMPLE_BYTES]
    if len(content) % 2 or b"\x00" not in sample:
        return None
    half = len(sample) / 2
    for zeros, others, encoding in ((1, 0, "utf-16-le"), (0, 1, "utf-16-be")):
        if sample[zeros::2].count(0) > half * 0.2 and sample[others::2].count(0) < half * 0.02:
            try:
                return Decoded(content.decode(encoding), encoding, bom=False)
            except UnicodeDecodeError:
                return None
    return None


def _iso_2022_jp(content: bytes) -> Decoded | None:
    if not content.isascii() or not (b"\x1b$B" in content or b"\x1b$@" in content):
        return None
    try:
        return Decoded(content.decode("iso2022_jp"), "iso2022_jp", bom=False)
    except UnicodeDecodeError:
        return None


def _utf8(content: bytes) -> Decoded | None:
    if content.isascii():
        return Decoded(content.decode("ascii"), "ascii", bom=False)
    try:
        return Decoded(content.decode("utf-8"), "utf-8", bom=False)
    except UnicodeDecodeError:
        return _damaged_utf8(content, "utf-8")


def _damaged_utf8(content: bytes, encoding: str) -> Decoded | None:
    text = content.decode(encoding, errors="replace")
    flaws = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", errors="ignore"))
    if beyond_ascii < flaws * (1 + CHARACTERS_PER_FLAW):
        return None
    return Decoded(text, encoding, bom=encoding == "utf-8-sig", flaws=flaws)


def _legacy(content: bytes) -> Decoded | None:
    from charset_normalizer import from_bytes  # here: 70 ms that only texts in old encodings have to pay

    sample = _telling_lines(content)
    disorder = {
        name: match.chaos for match in from_bytes(sample, cp_isolation=list(_ENCODINGS)) for name in _names(match)
    }
    if sum(byte >= 0x80 for byte in sample) < LATIN_SHARE * len(sample):
        disorder = {} if len(sample) < FEWEST_BYTES else disorder
        disorder.setdefault("cp1252", 0.0)
    # Near-equal answers are common (French reads well enough as Baltic): let the language decide between them.
    readings = [
        (likeness(sample.decode(encoding, errors="ignore")) - chaos / 2, encoding)
        for encoding, chaos in disorder.items()
    ]
    readings.sort(key=lambda reading: (-round(reading[0] * 25), _ENCODINGS.index(reading[1])))
    for _, encoding in readings:
        try:
            return Decoded(content.decode(encoding), encoding, bom=False)
        except UnicodeDecodeError:
            continue
    return None


def _names(match: object) -> list[str]:
    names: list[str] = getattr(match, "could_be_from_charset", [])
    return [name for name in names if name in _ENCODINGS]


def _telling_lines(content: bytes) -> bytes:
    """The first lines that are not plain ASCII: they alone tell encodings apart."""
    lines = itertools.chain.from_iterable(
        content[start : start + SAMPLE_BYTES].splitlines(keepends=True)
        for start in range(0, len(content), SAMPLE_BYTES)
    )
    sample = bytearray()
    for line in lines:
        if not line.isascii():
            sample += line
            if len(sample) >= SAMPLE_BYTES:
                break
    return bytes(sample)


def _readable(text: str) -> bool:
    sample = text[:SAMPLE_BYTES]
    return len(_CONTROL_CHARACTERS.findall(sample)) <= MOST_CONTROL_CHARACTERS * len(sample)
