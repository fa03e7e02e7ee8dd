"""Passages: where a text answers what its reader asks.

Ranked by Okapi BM25 (Robertson et al. 1995; with the never negative idf of Lucene) over stems, and over pairs of
neighbouring characters in scripts without spaces, as search engines do.
"""

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from helixnet.processors.text.document import Document, says_little
from helixnet.processors.text.language import stem_all, stop_words
from helixnet.processors.text.words import bare, find_words

K1, B = 1.2, 0.75
WORDS = 60
"""A passage ends with the sentence that reaches so many words (in unspaced scripts, 2.5 times as many)."""
FEWEST_WORDS = 20
"""A shorter paragraph, such as a heading, goes with the one that follows."""
MOST_CHARACTERS = 1200
STOP_WEIGHT = 0.1
"""Lists of function words are generous ("problem", "work"): in a question these count for little, not for nothing."""
_BULLET = re.compile(r"^\s*+(?:[-*•–—#>]+|\d{1,3}[.)])\s+")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """text[start:end], with a score of 0 to 1: the share of the best that any passage could have for the question."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A passage to be: text[start:end], words[first:last], and the paragraph that it ends in."""

    start: int
    end: int
    first: int
    last: int
    paragraph: int


def questions(context: str, most: int) -> list[str]:
    """What the reader asks: one entry for each line or question, or the whole context where those are over `most`."""
    whole = [" ".join(context.replace("\x00", " ").split())]
    lines = list(islice(_joined_lines(context), most + 1))
    if len(lines) > most:
        return whole
    found: list[str] = []
    for line in lines:
        asked = Document(line)
        sentences = [line[each.start : each.end] for each in asked.sentences]
        inquiries = [sentence for sentence in sentences if sentence.endswith(("?", "？", "\u061f"))]
        found.extend(inquiries or ([line] if sentences else []))
    return found if len(found) <= most else whole


def answer(document: Document, asked: list[str], number: int) -> list[list[Passage]]:
    """For each question at most `number` passages, the best first; none where no word of it occurs."""
    weights = [_keys(document, question) for question in asked]
    wanted = {key for each in weights for key in each}
    bounds, lengths, postings = _index(document, wanted)
    mean = sum(lengths) / len(lengths) if lengths else 1.0
    found = []
    for each in weights:
        scores: defaultdict[int, float] = defaultdict(float)
        best = 0.0
        for key, weight in each.items():
            hits = postings.get(key, Counter[int]())
            idf = math.log(1 + (len(lengths) - len(hits) + 0.5) / (len(hits) + 0.5))
            best += weight * idf * (K1 + 1)
            for passage, often in hits.items():
                damped = often + K1 * (1 - B + B * lengths[passage] / mean)
                scores[passage] += weight * idf * often * (K1 + 1) / damped
        top = heapq.nsmallest(number, scores, key=lambda passage: (-scores[passage], passage))
        found.append([Passage(*bounds[passage], round(scores[passage] / best, 4)) for passage in top])
    return found


def _joined_lines(context: str) -> Iterator[str]:
    """The lines without their bullets; one that was only wrapped at the margin is joined to its start."""
    parts: list[str] = []
    for raw in context.splitlines():
        text = _BULLET.sub("", raw).replace("\x00", " ").strip()
        if parts and text[:1].islower() and not parts[-1].endswith((".", "?", "!", ":", ";")):
            parts.append(text)
            continue
        if parts:
            yield " ".join(parts)
        parts = [text] if _LETTER_OR_DIGIT.search(text) else []
    if parts:
        yield " ".join(parts)


def _keys(document: Document, question: str) -> dict[Key, float]:
    """What to look for and how much each weighs: stems, pairs of characters, or a character that stands alone."""
    words = find_words(question)
    code = document.language.code
    stops = stop_words(code)
    stems = stem_all([bare(word) for word in words.vocabulary], code)
    keys: dict[Key, float] = {}
    for at, word in enumerate(words.ids):
        spelling = words.vocabulary[word]
        if not words.unspaced[word]:
            little = says_little(spelling, stops) and not spelling[0].isdigit()
            keys[(stems[word],)] = STOP_WEIGHT if little else 1.0
            continue
        joined = at + 1 < len(words) and words.starts[at + 1] == words.ends[at]
        if joined and words.unspaced[following := words.ids[at + 1]]:
            pair = (spelling, words.vocabulary[following])
            keys[pair] = STOP_WEIGHT if all("\u3041" <= each[0] <= "\u309f" for each in pair) else 1.0
        elif len(words) == 1:
            keys[(spelling,)] = 1.0
    return keys


def _index(document: Document, wanted: set[Key]) -> tuple[list[tuple[int, int]], list[int], dict[Key, Counter[int]]]:
    """(bounds, lengths, postings): each passage's place and length in words, and where each key occurs how often."""
    words, stems = document.words, document.stems
    ids, vocabulary = words.ids, words.vocabulary
    single = {word: (stem,) for word, stem in enumerate(stems) if (stem,) in wanted}
    leading = {key[0] for key in wanted if len(key) == 2}
    pair_starts = {word for word, unspaced in enumerate(words.unspaced) if unspaced and vocabulary[word] in leading}
    bounds: list[tuple[int, int]] = []
    lengths: list[int] = []
    postings: defaultdict[Key, Counter[int]] = defaultdict(Counter)
    for passage, stretch in enumerate(_split(document)):
        bounds.append((stretch.start, stretch.end))
        lengths.append(stretch.last - stretch.first)
        for at in range(stretch.first, stretch.last):
            word = ids[at]
            if word in single:
                postings[single[word]][passage] += 1
            if word in pair_starts and at + 1 < stretch.last and words.starts[at + 1] == words.ends[at]:
                pair = (vocabulary[word], vocabulary[ids[at + 1]])
                if pair in wanted:
                    postings[pair][passage] += 1
    return bounds, lengths, postings


def _split(document: Document) -> list[_Stretch]:
    """The text in passages: whole sentences, one after the other.

    A heading goes with what it is over, and the short rest of a paragraph with what came before it.
    """
    stretches: list[_Stretch] = []
    for sentence in document.sentences:
        stretch = _Stretch(sentence.start, sentence.end, sentence.first, sentence.last, sentence.paragraph)
        if not stretches:
            stretches.append(stretch)
            continue
        last = stretches[-1]
        if stretch.paragraph == last.paragraph:
            joins = _size(document, last) < WORDS
        else:
            if len(stretches) > 1 and _size(document, last) < FEWEST_WORDS:
                before = stretches[-2]
                if before.paragraph == last.paragraph and _fit(document, before, last):
                    stretches[-2:] = [_join(before, last)]
                    last = stretches[-1]
            joins = _size(document, last) < FEWEST_WORDS
        if joins and _fit(document, last, stretch):
            stretches[-1] = _join(last, stretch)
        else:
            stretches.append(stretch)
    return stretches


def _size(document: Document, stretch: _Stretch) -> float:
    words = document.words
    return (stretch.last - stretch.first) / (2.5 if words.unspaced[words.ids[stretch.first]] else 1)


def _fit(document: Document, left: _Stretch, right: _Stretch) -> bool:
    # PostgreSQL can't store a NUL, so no passage goes over one.
    return right.end - left.start <= MOST_CHARACTERS and document.text.find("\x00", left.end, right.start) < 0


def _join(left: _Stretch, right: _Stretch) -> _Stretch:
    return _Stretch(left.start, right.end, left.first, right.last, right.paragraph)
