"""A text of any size in pieces: decoded as it comes, and cut into chunks where a paragraph ends."""

import codecs
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from helixnet.processors.context import Input
from helixnet.processors.text.decoding import decode

SAMPLE_BYTES = 1024 * 1024
"""By so much of a file its encoding is told."""
CHUNK_CHARACTERS = 4 * 1024 * 1024
CUT_CHARACTERS = 64 * 1024
"""So far back from a chunk's end a place to cut it is looked for."""

_PLACES = ("\n\n", "\r\n\r\n", "\n", ". ", "。", " ")


@dataclass(slots=True)
class Stream:
    """A file's text, as it comes; `encoding` and `bom` are known once the first piece is there, `flaws` at the end."""

    given: Input
    encoding: str = ""
    bom: bool = False
    flaws: int = 0
    bytes_read: int = 0

    async def pieces(self) -> AsyncIterator[str]:
        """The text in pieces. The encoding is told by the file's first mebibyte; raises Reject if that is no text."""
        held = b""
        decoder: codecs.IncrementalDecoder | None = None
        async with aclosing(self.given.stream()) as stream:  # type: ignore[type-var] # an Input's is a generator
            async for piece in stream:
                self.bytes_read += len(piece)
                if decoder is None:
                    held += piece
                    if len(held) < SAMPLE_BYTES:
                        continue
                    decoder = self._decoder(held, whole=False)
                    yield self._counted(decoder.decode(held))
                    held = b""
                else:
                    yield self._counted(decoder.decode(piece))
        if decoder is None:
            decoder = self._decoder(held, whole=True)
        yield self._counted(decoder.decode(held, final=True))

    def _decoder(self, sample: bytes, *, whole: bool) -> codecs.IncrementalDecoder:
        told = decode(sample if whole else _complete(sample), "content")
        self.encoding, self.bom = "utf-8" if told.encoding == "ascii" and not whole else told.encoding, told.bom
        return codecs.getincrementaldecoder(self.encoding)(errors="replace")

    def _counted(self, text: str) -> str:
        self.flaws += text.count("\ufffd")
        return text


async def chunks(pieces: AsyncIterator[str], size: int = CHUNK_CHARACTERS) -> AsyncIterator[str]:
    """The same text in chunks of about `size` characters, cut at the end of a paragraph, or of a line, a sentence or
    a word, where one is near; nothing is left out between them."""
    held: list[str] = []
    length = 0
    async for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length < size:
            continue
        text = "".join(held)
        while len(text) >= size:
            cut = _cut(text, size)
            yield text[:cut]
            text = text[cut:]
        held, length = [text], len(text)
    if length:
        yield "".join(held)


def _cut(text: str, size: int) -> int:
    for place in _PLACES:
        found = text.rfind(place, max(0, size - CUT_CHARACTERS), size)
        if found > 0:
            return found + len(place)
    return size


def _complete(sample: bytes) -> bytes:
    """The sample up to its last line, so that no character of it is cut; of wide encodings up to a whole character."""
    end = sample.rfind(b"\n", len(sample) // 2) + 1
    if end and b"\x00" not in sample[:64]:
        return sample[:end]
    if b"\x00" in sample[:64]:
        return sample[: len(sample) // 4 * 4]
    while end == 0 and sample and 0x80 <= sample[-1] < 0xC0:
        sample = sample[:-1]
    return sample[:-1] if sample and sample[-1] >= 0xC0 else sample
