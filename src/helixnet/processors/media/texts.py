"""What kind of text a file is, by its beginning: its encoding, and whether it is JSON, XML, HTML, CSV or another."""

import re
from dataclasses import dataclass

import orjson

from helixnet.processors.base import Reject
from helixnet.processors.media.results import TextFacts
from helixnet.processors.media.signatures import Kind
from helixnet.processors.text.decoding import decode

SAMPLE_BYTES = 128 * 1024
FEWEST_LINES, MOST_LINES = 2, 50

PLAIN = Kind("text/plain", "plain text", ("txt", "text", "log"))
JSON = Kind("application/json", "JSON", ("json", "geojson", "ipynb", "webmanifest", "map"))
NDJSON = Kind("application/x-ndjson", "JSON, a value a line", ("ndjson", "jsonl"))
XML = Kind("application/xml", "XML", ("xml", "xsd", "xsl", "rss", "atom", "kml", "gpx", "plist", "xhtml"))
SVG = Kind("image/svg+xml", "an SVG image", ("svg",))
HTML = Kind("text/html", "HTML", ("html", "htm", "xhtml"))
CSV = Kind("text/csv", "a table, separated by commas or the like", ("csv", "txt"))
TSV = Kind("text/tab-separated-values", "a table, separated by tabs", ("tsv", "tab", "txt"))
_BEGINNINGS = (
    (re.compile(r"#! *\S*?(?:/|env +)python"), Kind("text/x-python", "a Python program", ("py", "pyw"))),
    (re.compile(r"#! *\S*?(?:/|env +)(?:ba|da|k|z)?sh\b"), Kind("application/x-sh", "a shell script", ("sh", "bash"))),
    (re.compile(r"#!"), Kind("text/x-script", "a script", ())),
    (re.compile(r"-----BEGIN [A-Z ]+-----"), Kind("application/x-pem-file", "a key or certificate", ("pem", "crt"))),
    (re.compile(r"BEGIN:VCALENDAR\b"), Kind("text/calendar", "a calendar", ("ics",))),
    (re.compile(r"BEGIN:VCARD\b"), Kind("text/vcard", "a visiting card", ("vcf",))),
    (
        re.compile(r"(?:(?:From|To|Date|Subject|Received|Message-ID|MIME-Version): [^\n]*\n(?:[ \t][^\n]*\n)*){3}"),
        Kind("message/rfc822", "an e-mail", ("eml",)),
    ),
)
_MARKUP = re.compile(r"<(?:\?xml[\s>]|!|[A-Za-z_])")
# What comes before the first element: how it begins, and what ends it. A document type may hold declarations itself.
_BEFORE_ROOT = tuple(
    (re.compile(beginning), re.compile(end))
    for beginning, end in ((r"\s+", ""), (r"<\?", ">"), ("<!--", "-->"), (r"<![^>[]*\[", r"\]\s*+>"), ("<!", ">"))
)
_ROOT = re.compile(r"<(?:[\w.-]++:)?([\w.-]++)")


@dataclass(frozen=True, slots=True)
class Text:
    """The kind of a text, and how it is written."""

    kind: Kind
    facts: TextFacts


def by_text(head: bytes, *, whole: bool) -> Text | None:
    """What text a file is that begins with `head`, which is all of it if `whole`; None if it is no text."""
    sample = head[:SAMPLE_BYTES]
    if cut := len(sample) < len(head) or not whole:
        # Not in the midst of a character: at the end of a line, or in what has none, where UTF-8 allows it.
        end = sample.rfind(b"\n") + 1
        sample = sample[:end] if end else _without_half_a_character(sample)
    try:
        decoded = decode(sample)
    except Reject:
        return None
    text = decoded.text.lstrip("\ufeff")
    facts = TextFacts(encoding=decoded.encoding, bom=decoded.bom, line_ends=_line_ends(text))
    return Text(_kind(text, whole=not cut), facts)


def _without_half_a_character(sample: bytes) -> bytes:
    even = sample[: len(sample) // 4 * 4]  # UTF-16 and UTF-32 are cut by fours
    if b"\x00" in even[:64]:
        return even
    for end in range(len(sample), max(0, len(sample) - 4), -1):
        try:
            sample[max(0, end - 64) : end].decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            if error.start < 4:  # it began in the midst of one
                return sample[:end]
            continue
        return sample[:end]
    return sample


def _line_ends(text: str) -> str:
    crlf = text.count("\r\n")
    found = {"crlf": crlf, "lf": text.count("\n") - crlf, "cr": text.count("\r") - crlf}
    used = [name for name, count in found.items() if count]
    return "none" if not used else used[0] if len(used) == 1 else "mixed"


def _kind(text: str, *, whole: bool) -> Kind:
    start = text.lstrip()
    for beginning, kind in _BEGINNINGS:
        if beginning.match(start):
            return kind
    if start[:1] in ("{", "["):
        return _json(start, whole=whole) or _table(text, whole=whole) or PLAIN
    if _MARKUP.match(start):
        return _markup(start) or PLAIN
    return _table(text, whole=whole) or PLAIN


def _json(text: str, *, whole: bool) -> Kind | None:
    lines = [line for line in text.split("\n", MOST_LINES)[:MOST_LINES] if line.strip()]
    if len(lines) > 1 and all(map(_is_json, lines)):
        return NDJSON
    # Of a large file only the beginning is seen: then it must go on as JSON does.
    begins = re.match(r'[\[{]\s*+(?:"|[\[{\]}]|-?\d|true\b|false\b|null\b)', text)
    return JSON if (_is_json(text) if whole else begins) else None


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _markup(text: str) -> Kind | None:
    if re.match(r"<!doctype\s+html\b", text, re.IGNORECASE):
        return HTML
    match _root(text):
        case None:
            return None
        case "html" | "head" | "body":
            return HTML
        case "svg":
            return SVG
    return XML if text.startswith("<?xml") or "</" in text or "/>" in text else None


def _root(text: str) -> str | None:
    """The name of the first element, in small letters, behind comments and declarations."""
    at: int | None = 0
    while at is not None:
        start, at = at, _end_of_what_is_before(text, at)
        if at == start:
            root = _ROOT.match(text, at)
            return root[1].lower() if root else None
    return None


def _end_of_what_is_before(text: str, at: int) -> int | None:
    """Where the white space, comment or declaration ends that begins here; None where it has no end."""
    for beginning, end in _BEFORE_ROOT:
        if begun := beginning.match(text, at):
            ended = end.search(text, begun.end())
            return ended.end() if ended else None
    return at


def _table(text: str, *, whole: bool) -> Kind | None:
    """A table if the first lines all have as many separators, outside of quotes, and at least one."""
    lines = text.splitlines()[:MOST_LINES]
    if not whole and len(lines) < MOST_LINES:
        lines = lines[:-1]
    lines = [re.sub(r'"[^"]*+"', '""', line) for line in lines if line.strip()]
    if len(lines) < FEWEST_LINES:
        return None
    for separator, kind in (("\t", TSV), (",", CSV), (";", CSV), ("|", CSV)):
        counts = {line.count(separator) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return kind
    return None
