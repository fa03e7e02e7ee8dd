"""What the content is, and its text: whole where it fits, else as a stream."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from helixnet.processors.base import Reject
from helixnet.processors.context import Input, JobContext
from helixnet.processors.text.decoding import decode
from helixnet.processors.text.formats.bounds import Bounds
from helixnet.processors.text.formats.kinds import Format, kind_of
from helixnet.processors.text.streaming import Stream

LARGEST_WHOLE = 32 * 1024 * 1024
"""Bytes of text that is analysed as one; more is analysed in chunks."""
LARGEST_DOCUMENT = 256 * 1024 * 1024
"""Bytes of a PDF, a Word document or a page of HTML."""
TEXT_ARTIFACT = "text.txt"
READ_CHARACTERS = 1024 * 1024

T = TypeVar("T")

_NAMES = {"pdf": "PDF", "docx": "Word document", "html": "page", "markdown": "Markdown"}


@dataclass(slots=True)
class Source:
    """The content's text: either `text`, or `pieces` that are yet to come; what of it is known only then is in
    `stream`. `artifact` is where a document's text was written to, and then the file that offsets count on."""

    format: Format
    encoding: str = "utf-8"
    bom: bool = False
    flaws: int = 0
    pages: int | None = None
    artifact: str | None = None
    text: str | None = None
    pieces: AsyncIterator[str] | None = None
    stream: Stream | None = None


async def open_source(context: JobContext, given: Input) -> Source:
    """Find out what the content is, and make text of it. Raises Reject and OverLimit as the formats do."""
    kind = kind_of(await _head(given), given.filename, given.media_type)
    if kind == "text":
        return await _plain(given)
    if given.size > LARGEST_DOCUMENT:
        limit = LARGEST_DOCUMENT // 1024 // 1024
        raise Reject(f"The {_NAMES[kind]} is too large: {given.size:,} bytes, of {limit} MiB that are allowed.")
    source = Source(kind)
    file = context.scratch / TEXT_ARTIFACT
    with file.open("w", encoding="utf-8", errors="replace", newline="") as written:
        async for piece in _pieces(context, given, source):
            written.write(piece)
    if not file.stat().st_size:
        raise Reject(_without_text(kind))
    await context.write(TEXT_ARTIFACT, file, "text/plain; charset=utf-8")
    source.artifact = TEXT_ARTIFACT
    if file.stat().st_size <= LARGEST_WHOLE:
        source.text = await asyncio.to_thread(_read, file)
    else:
        source.pieces = _read_in_pieces(file)
    return source


async def _plain(given: Input) -> Source:
    if given.size > LARGEST_WHOLE:
        stream = Stream(given)
        return Source("text", pieces=stream.pieces(), stream=stream)
    decoded = await asyncio.to_thread(decode, await given.read(LARGEST_WHOLE), "content")
    return Source("text", decoded.encoding, decoded.bom, decoded.flaws, text=decoded.text)


async def _head(given: Input) -> bytes:
    async with aclosing(given.stream()) as stream:  # type: ignore[type-var] # an Input's is a generator
        return bytes(await anext(stream, b""))


async def _pieces(context: JobContext, given: Input, source: Source) -> AsyncIterator[str]:
    """A document's text. The formats are imported here, so that a worker which meets none of them loads nothing."""
    bounds = Bounds(_NAMES[source.format])
    match source.format:
        case "pdf":
            from helixnet.processors.text.formats import pdf

            async for number, count, text in _stepped(pdf.pages(await given.path(), bounds)):
                source.pages = count
                if number % 20 == 0:
                    await context.progress(0.02 + 0.1 * number / count, f"Read {number:,} of {count:,} pages")
                if text.strip():
                    yield text.rstrip() + "\n\n"
        case "docx":
            from helixnet.processors.text.formats import docx

            async for text in _stepped(docx.paragraphs(await given.path(), bounds)):
                yield text
        case "html":
            from helixnet.processors.text.formats.html import HtmlText

            stream, page = Stream(given), HtmlText(bounds)
            async for piece in stream.pieces():
                yield await asyncio.to_thread(page.text_of, piece)
            yield page.rest()
            source.flaws = stream.flaws
        case "markdown":
            from helixnet.processors.text.formats import markdown

            decoded = decode(await given.read(LARGEST_WHOLE), "content")
            source.flaws = decoded.flaws
            short = len(decoded.text) <= markdown.LARGEST
            yield await asyncio.to_thread(markdown.plain, decoded.text) if short else decoded.text


async def _stepped(steps: Iterator[T]) -> AsyncIterator[T]:
    """An iterator that works hard, each step in a thread."""
    while (step := await asyncio.to_thread(next, steps, None)) is not None:
        yield step


def _without_text(kind: Format) -> str:
    if kind == "pdf":
        return "The PDF holds no text: its pages are pictures, as scanners make them. Recognise its text (OCR) first."
    return f"The {_NAMES[kind]} holds no text."


def _read(file: Path) -> str:
    with file.open(encoding="utf-8", newline="") as opened:
        return opened.read()


async def _read_in_pieces(file: Path) -> AsyncIterator[str]:
    with file.open(encoding="utf-8", newline="") as opened:
        while piece := await asyncio.to_thread(opened.read, READ_CHARACTERS):
            yield piece
