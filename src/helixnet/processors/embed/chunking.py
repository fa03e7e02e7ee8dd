"""A text in passages of whole sentences, which overlap a little so that no answer falls between two."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from helixnet.processors.text.document import Document

SEGMENT_CHARACTERS = 400_000
"""A large text is taken apart piece by piece, each of which may take a hundred times its size in memory."""
FULL_ENOUGH = 0.4
"""The share of a passage's length from which a new paragraph begins a new passage."""
_BREAKS = (re.compile(r"\n\s*\n"), re.compile(r"[.!?…。！？]\s"), re.compile(r"\s"))


@dataclass(frozen=True, slots=True)
class Chunk:
    """text[start:end]."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    paragraph: int


def chunks(text: str, longest: int, overlap: int) -> Iterator[Chunk]:
    """Passages of at most `longest` characters, in order; each begins with up to `overlap` sentences of the one
    before, where these leave it room. Sentences that are too long are cut."""
    for start, end in _segments(text):
        yield from _pack(text, list(_pieces(text[start:end], start, longest)), longest, overlap)


def _segments(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while len(text) - start > SEGMENT_CHARACTERS:
        end = start + SEGMENT_CHARACTERS
        # In the last twentieth there will be the end of a paragraph, of a sentence, or of a word; else anywhere.
        for kind in _BREAKS:
            ends = [match.end() for match in kind.finditer(text, end - SEGMENT_CHARACTERS // 20, end)]
            if ends:
                end = ends[-1]
                break
        yield start, end
        start = end
    yield start, len(text)


def _pieces(segment: str, base: int, longest: int) -> Iterator[_Piece]:
    """The sentences of a segment, the long ones in parts."""
    for sentence in Document(segment).sentences:
        start = sentence.start
        while sentence.end - start > longest:
            space = segment.rfind(" ", start + longest // 2, start + longest)
            cut = space if space > 0 else start + longest
            yield _Piece(base + start, base + cut, sentence.paragraph)
            start = cut + (space > 0)
        if start < sentence.end:
            yield _Piece(base + start, base + sentence.end, sentence.paragraph)


def _pack(text: str, pieces: list[_Piece], longest: int, overlap: int) -> Iterator[Chunk]:
    first = 0
    while first < len(pieces):
        last = first + 1
        while last < len(pieces) and _joins(text, pieces[first], pieces[last - 1], pieces[last], longest):
            last += 1
        yield Chunk(pieces[first].start, pieces[last - 1].end)
        if last == len(pieces):
            return
        again = last
        while (
            again - 1 > first
            and last - again < overlap
            and pieces[again - 1].paragraph == pieces[last].paragraph
            and pieces[last].end - pieces[again - 1].start <= longest
            and pieces[last - 1].end - pieces[again - 1].start <= longest // 2
            and "\x00" not in text[pieces[again - 1].start : pieces[last].start]
        ):
            again -= 1
        first = again


def _joins(text: str, first: _Piece, before: _Piece, piece: _Piece, longest: int) -> bool:
    if piece.end - first.start > longest:
        return False
    if piece.paragraph != before.paragraph and before.end - first.start >= FULL_ENOUGH * longest:
        return False
    # PostgreSQL can't store a NUL, so no passage goes over one.
    return "\x00" not in text[before.end : piece.start]
