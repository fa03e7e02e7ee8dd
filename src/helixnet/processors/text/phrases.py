"""Key phrases: the terms that a text keeps coming back to.

After the C-value of Frantzi, Ananiadou and Mima (2000): runs of content words, counted by stem, where a shorter run is
not credited for the longer ones that it is part of. Frequency is damped by a logarithm, so that single words do not
crowd out terms, and what keeps to a few paragraphs (a subject) counts for more than what is all over the text (idf).
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from helixnet.processors.text.document import Document
from helixnet.processors.text.words import LONGEST_WORD

LONGEST = 3
LONGEST_UNSPACED = 4
"""In characters, for scripts without spaces: most of their words have two to four."""
MOST_STEMS = 3000
"""Only runs of the most frequent stems are counted."""
MOST_GRAMS = 500_000
REPEATED_FROM_WORDS = (200, 3000, 50_000, 500_000)
"""From these lengths on, in words, a phrase has to occur twice, three times, and so on."""
SURFACES_SEEN = 50
FOCUS = 0.3
"""How much it counts that a phrase keeps to a few paragraphs."""

Gram = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase as it is mostly written; the score is 1 for the best one of the text."""

    text: str
    score: float
    count: int


class _Run(NamedTuple):
    """The stems of a run, its first and last word, its length in words, and its paragraph.

    In a script without spaces a run may be `cut_anywhere`, also in the midst of a word: seen once, it proves nothing.
    """

    gram: Gram
    first: int
    last: int
    length: float
    paragraph: int
    cut_anywhere: bool


def key_phrases(document: Document, number: int) -> list[Phrase]:
    """At most `number` phrases, the best first."""
    seen = _count(document)
    least = 1 + bisect_right(REPEATED_FROM_WORDS, len(document.words))
    counts = {
        gram: tally.count
        for gram, tally in seen.items()
        if tally.count >= (max(least, 2) if tally.cut_anywhere else least)
    }
    nested: dict[Gram, list[int]] = defaultdict(lambda: [0, 0])
    for gram, count in counts.items():
        for part in _parts(gram):
            nested[part][0] += count
            nested[part][1] += 1
    scores: dict[Gram, float] = {}
    for gram, count in counts.items():
        around, longer = nested.get(gram, (0, 0))
        alone = count - around / longer if longer else count
        focus = 1 + FOCUS * math.log(document.paragraph_count / seen[gram].paragraphs)
        if alone > 0:
            scores[gram] = seen[gram].length * math.log2(1 + alone) * focus
    # Python's sort is stable and the dictionary in order of first appearance: equal phrases come as the text has them.
    chosen = sorted(scores, key=lambda gram: -scores[gram])[:number]
    if not chosen:
        return []
    written = _as_written(document, set(chosen))
    best = scores[chosen[0]]
    return [Phrase(written[gram], round(scores[gram] / best, 4), counts[gram]) for gram in chosen]


@dataclass(slots=True)
class _Tally:
    """What is known of a run: its length in words, how often it occurs and in how many paragraphs."""

    length: float
    cut_anywhere: bool
    count: int = 0
    paragraphs: int = 0
    last_paragraph: int = -1


def _count(document: Document) -> dict[Gram, _Tally]:
    """For each run of content stems its length in words, how often it occurs, and in how many paragraphs."""
    seen: dict[Gram, _Tally] = {}
    for run in _runs(document):
        tally = seen.get(run.gram)
        if tally is None:
            if len(seen) >= MOST_GRAMS:
                seen = _pruned(seen)
            tally = seen[run.gram] = _Tally(run.length, run.cut_anywhere)
        tally.count += 1
        if tally.last_paragraph != run.paragraph:
            tally.paragraphs += 1
            tally.last_paragraph = run.paragraph
    return seen


def _pruned(seen: dict[Gram, _Tally]) -> dict[Gram, _Tally]:
    """The more frequent half, or less: the rest is forgotten, as in lossy counting (Manku and Motwani 2002)."""
    floor = 1
    while len(seen) > MOST_GRAMS // 2:
        seen = {gram: tally for gram, tally in seen.items() if tally.count > floor}
        floor += 1
    return seen


def _runs(document: Document) -> Iterator[_Run]:
    """Every run of content words that stand side by side."""
    words, text, terms = document.words, document.text, document.terms
    ids, starts, ends, unspaced = words.ids, words.starts, words.ends, words.unspaced
    kept = _frequent(document)
    open_runs: list[tuple[Gram, int]] = []
    for sentence in document.sentences:
        open_runs = []
        for at in range(sentence.first, sentence.last):
            word = ids[at]
            term = terms[word]
            if term not in kept or ends[at] - starts[at] > LONGEST_WORD:
                open_runs = []
                continue
            character = unspaced[word]
            if open_runs:
                before = ids[at - 1]
                gap = text[ends[at - 1] : starts[at]]
                joined = not gap if character or unspaced[before] else gap in {" ", "-", "\n", "\r\n"}
                if not joined:
                    open_runs = []
            longest = LONGEST_UNSPACED if character else LONGEST
            open_runs = [((*gram, term), first) for gram, first in open_runs if len(gram) < longest]
            open_runs.append(((term,), at))
            for gram, first in open_runs:
                if not character:
                    yield _Run(gram, first, at, float(len(gram)), sentence.paragraph, cut_anywhere=False)
                elif len(gram) > 1:
                    yield _Run(gram, first, at, len(gram) / 2, sentence.paragraph, cut_anywhere=True)


def _frequent(document: Document) -> frozenset[int]:
    frequencies: Counter[int] = Counter()
    for word, count in document.frequencies.items():
        if document.terms[word] >= 0:
            frequencies[document.terms[word]] += count
    return frozenset(term for term, _ in frequencies.most_common(MOST_STEMS))


def _parts(gram: Gram) -> Iterator[Gram]:
    for length in range(1, len(gram)):
        for start in range(len(gram) - length + 1):
            yield gram[start : start + length]


def _as_written(document: Document, chosen: set[Gram]) -> dict[Gram, str]:
    """Each phrase in the spelling that is most usual for it, white space made plain."""
    seen: dict[Gram, Counter[str]] = {gram: Counter() for gram in chosen}
    missing = len(chosen)
    for run in _runs(document):
        spellings = seen.get(run.gram)
        if spellings is not None and spellings.total() < SURFACES_SEEN:
            spellings[
                " ".join(document.text[document.words.starts[run.first] : document.words.ends[run.last]].split())
            ] += 1
            missing -= spellings.total() == SURFACES_SEEN
            if not missing:
                break
    return {gram: spellings.most_common(1)[0][0] for gram, spellings in seen.items()}
