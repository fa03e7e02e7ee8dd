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

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """text[start:end], with a score of 0 to 1: the share of the best that any passage could have for the question."""

    start: int
    end: int
    score: float


def questions(context: str, most: int) -> list[str]:
    """What the reader asks: one entry for each line or question, or the whole context where those are over `most`."""
    found: list[str] = []
    for line in _joined_lines(context):
        asked = Document(line)
        sentences = [line[each.start : each.end] for each in asked.sentences]
        inquiries = [sentence for sentence in sentences if sentence.endswith(("?", "？", "\u061f"))]
        found.extend(inquiries or ([line] if sentences else []))
    return found if len(found) <= most else [" ".join(context.split())]


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
    line = ""
    for raw in context.splitlines():
        text = _BULLET.sub("", raw).replace("\x00", " ").strip()
        if line and text[:1].islower() and not line.endswith((".", "?", "!", ":", ";")):
            line = f"{line} {text}"
            continue
        if line:
            yield line
        line = text
    if line:
        yield line


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
    for start, end, first, last in _split(document):
        passage = len(bounds)
        bounds.append((start, end))
        lengths.append(last - first)
        for at in range(first, last):
            word = ids[at]
            if word in single:
                postings[single[word]][passage] += 1
            if word in pair_starts and at + 1 < last and words.starts[at + 1] == words.ends[at]:
                pair = (vocabulary[word], vocabulary[ids[at + 1]])
                if pair in wanted:
                    postings[pair][passage] += 1
    return bounds, lengths, postings


def _split(document: Document) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, first word, last word) of each passage: whole sentences, one after the other."""
    text, unspaced, ids = document.text, document.words.unspaced, document.words.ids
    start = first = end = last = paragraph = -1
    for sentence in document.sentences:
        if start >= 0:
            size = (last - first) / (2.5 if unspaced[ids[first]] else 1)
            if (
                size >= WORDS
                or (sentence.paragraph != paragraph and size >= FEWEST_WORDS)
                or sentence.end - start > MOST_CHARACTERS
                or text.find("\x00", end, sentence.start) >= 0  # can't be stored in PostgreSQL
            ):
                yield start, end, first, last
                start = -1
        if start < 0:
            start, first = sentence.start, sentence.first
        end, last, paragraph = sentence.end, sentence.last, sentence.paragraph
    if start >= 0:
        yield start, end, first, last
