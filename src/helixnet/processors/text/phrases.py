"""Key phrases: the terms that a text keeps coming back to.

After the C-value of Frantzi, Ananiadou and Mima (2000): runs of content words, counted by stem, where a shorter run is
not credited for the longer ones that it is part of. Frequency is damped by a logarithm, so that single words do not
crowd out terms.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from helixnet.processors.text.document import Document

LONGEST = 3
LONGEST_UNSPACED = 4
"""In characters, for scripts without spaces: most of their words have two to four."""
MOST_STEMS = 3000
"""Only runs of the most frequent stems are counted: what bounds the memory of a long text."""
REPEATED_FROM_WORDS = 200
"""From this length on, in words, a phrase has to occur twice."""
SURFACES_SEEN = 50

Gram = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase as it is mostly written; the score is 1 for the best one of the text."""

    text: str
    score: float
    count: int


def key_phrases(document: Document, number: int) -> list[Phrase]:
    """At most `number` phrases, the best first."""
    grams = _count(document)
    least = 2 if len(document.words) >= REPEATED_FROM_WORDS else 1
    counts = {gram: count for gram, (count, _) in grams.items() if count >= least}
    nested: dict[Gram, list[int]] = defaultdict(lambda: [0, 0])
    for gram, count in counts.items():
        for part in _parts(gram):
            nested[part][0] += count
            nested[part][1] += 1
    scores: dict[Gram, float] = {}
    for gram, count in counts.items():
        around, longer = nested.get(gram, (0, 0))
        alone = count - around / longer if longer else count
        if alone > 0:
            scores[gram] = grams[gram][1] * math.log2(1 + alone)
    # Python's sort is stable and the dictionary in order of first appearance: equal phrases come as the text has them.
    chosen = sorted(scores, key=lambda gram: -scores[gram])[:number]
    if not chosen:
        return []
    written = _as_written(document, set(chosen))
    best = scores[chosen[0]]
    return [Phrase(written[gram], round(scores[gram] / best, 4), counts[gram]) for gram in chosen]


def _count(document: Document) -> dict[Gram, tuple[int, float]]:
    """For each run of content stems how often it occurs and how long it is, in words."""
    counts: Counter[Gram] = Counter()
    lengths: dict[Gram, float] = {}
    for gram, _, _, length in _runs(document):
        counts[gram] += 1
        lengths[gram] = length
    return {gram: (count, lengths[gram]) for gram, count in counts.items()}


def _runs(document: Document) -> Iterator[tuple[Gram, int, int, float]]:
    """(stems, first word, last word, length) for every run of content words that stand side by side."""
    words, text, terms = document.words, document.text, document.terms
    ids, starts, ends, unspaced = words.ids, words.starts, words.ends, words.unspaced
    kept = _frequent(document)
    open_runs: list[tuple[Gram, int]] = []
    for sentence in document.sentences:
        open_runs = []
        for at in range(sentence.first, sentence.last):
            word = ids[at]
            term = terms[word]
            if term not in kept:
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
                    yield gram, first, at, float(len(gram))
                elif len(gram) > 1:
                    yield gram, first, at, len(gram) / 2


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
    for gram, first, last, _ in _runs(document):
        spellings = seen.get(gram)
        if spellings is not None and spellings.total() < SURFACES_SEEN:
            spellings[" ".join(document.text[document.words.starts[first] : document.words.ends[last]].split())] += 1
            missing -= spellings.total() == SURFACES_SEEN
            if not missing:
                break
    return {gram: spellings.most_common(1)[0][0] for gram, spellings in seen.items()}
