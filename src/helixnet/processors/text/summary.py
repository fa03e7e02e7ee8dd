"""An extractive summary: the sentences that together say most of what a text is about, in its own words.

Sentences are weighed against the text's centroid, its most telling words (Radev et al. 2004, MEAD), and picked one by
one so that each adds something (maximal marginal relevance, Carbonell and Goldstein 1998). Unlike graph methods such
as TextRank (Mihalcea and Tarau 2004), whose cost grows with the square of the sentences, this reads the text once.
"""

import heapq
import math
from collections import Counter

from helixnet.processors.text.document import Document, Sentence

CENTROID_WORDS = 120
CANDIDATES = 200
RELEVANCE = 0.7
"""The weight of what a sentence says against what the summary says already."""
LEAD, LEAD_SHARE = 1.3, 0.05
"""Authors say at the beginning what they are about: the weight of the first twentieth of the paragraphs."""
FEWEST_WORDS, MOST_WORDS = 6, 60
_FULL_STOPS = tuple(".!…。！\u06d4\u0964\u0589\"'”’»)」』")


def summarise(document: Document, number: int) -> list[Sentence]:
    """At most `number` sentences, in the order of the text."""
    if not number:
        return []
    weights = _centroid(document)
    scored = (_score(document, weights, sentence) for sentence in document.sentences)
    candidates = heapq.nlargest(CANDIDATES, scored, key=lambda each: each[:2])
    best = candidates[0][0] if candidates else 0.0
    picked: list[tuple[frozenset[int], Sentence]] = []
    while candidates and len(picked) < number and best > 0:

        def gain(at: int) -> float:
            score, _, terms, _ = candidates[at]
            said = max((_overlap(terms, others) for others, _ in picked), default=0.0)
            return RELEVANCE * score / best - (1 - RELEVANCE) * said

        _, _, terms, sentence = candidates.pop(max(range(len(candidates)), key=gain))
        picked.append((terms, sentence))
    return sorted((sentence for _, sentence in picked), key=lambda sentence: sentence.start)


def _score(
    document: Document, weights: dict[int, float], sentence: Sentence
) -> tuple[float, int, frozenset[int], Sentence]:
    """(score, place from the end, terms, sentence): what is compared, and what goes with it."""
    terms = _terms(document, sentence)
    score = sum(weights.get(term, 0.0) for term in terms) / math.sqrt(len(terms) or 1)
    return score * _fitness(document, sentence), -sentence.start, terms, sentence


def _terms(document: Document, sentence: Sentence) -> frozenset[int]:
    ids, terms = document.words.ids, document.terms
    return frozenset(terms[ids[at]] for at in range(sentence.first, sentence.last)) - {-1}


def _centroid(document: Document) -> dict[int, float]:
    """The words with most weight: how often they occur, times how few sentences hold them (tf-idf)."""
    often: Counter[int] = Counter()
    spread: Counter[int] = Counter()
    for word, count in document.frequencies.items():
        often[document.terms[word]] += count
    for sentence in document.sentences:
        spread.update(_terms(document, sentence))
    total = 1 + len(document.sentences)
    weights = {term: often[term] * math.log(total / count) for term, count in spread.items()}
    return dict(heapq.nlargest(CENTROID_WORDS, weights.items(), key=lambda item: (item[1], -item[0])))


def _fitness(document: Document, sentence: Sentence) -> float:
    """How well a sentence can stand alone: a heading, a question or a fragment does so badly."""
    fitness = LEAD if sentence.paragraph <= document.paragraph_count * LEAD_SHARE else 1.0
    size = sentence.last - sentence.first
    characters = document.words.unspaced[document.words.ids[sentence.first]]
    if not FEWEST_WORDS <= size <= MOST_WORDS * (3 if characters else 1):
        fitness *= 0.3
    if not sentence.whole:
        fitness *= 0.3
    if not document.text.endswith(_FULL_STOPS, sentence.start, sentence.end):
        fitness *= 0.3
    return fitness


def _overlap(left: frozenset[int], right: frozenset[int]) -> float:
    return len(left & right) / math.sqrt(len(left) * len(right)) if left and right else 0.0
