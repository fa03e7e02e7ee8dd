"""Chunks of a large text, each analysed by itself, put together in memory that does not grow with the text.

What is counted adds up exactly. What is weighed (phrases, the language, summaries, passages) was weighed within each
chunk, so it is close to what the whole would give, and not the same.
"""

import heapq
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from helixnet.processors.text.counting import Tally, tally
from helixnet.processors.text.document import Document
from helixnet.processors.text.language import Language
from helixnet.processors.text.passages import Passage, answer
from helixnet.processors.text.phrases import Phrase, key_phrases
from helixnet.processors.text.results import AnalyzeParams
from helixnet.processors.text.summary import summarise

PHRASES_OF_A_CHUNK = 200
MOST_PHRASES = 20_000
MOST_CANDIDATES = 2000
MOST_SPELLINGS = 1_000_000
"""Different words that are kept apart; from there on they are only known to be more."""


@dataclass(frozen=True, slots=True, order=True)
class Quote:
    """A piece of the text, by its place in the whole."""

    start: int
    end: int
    text: str = field(compare=False)


@dataclass(slots=True)
class _Phrase:
    count: int = 0
    weight: float = 0.0
    written: Counter[str] = field(default_factory=Counter)


class Merged:
    """Everything that is known of the chunks so far."""

    def __init__(self, params: AnalyzeParams, asked: list[str]) -> None:
        self._params = params
        self._asked = asked
        self.chunks = 0
        self.tally = Tally()
        self.spellings: set[str] = set()
        self.more_spellings = False
        self._at = 0
        self._languages: defaultdict[str, float] = defaultdict(float)
        self._known: dict[str, Language] = {}
        self._phrases: defaultdict[str, _Phrase] = defaultdict(_Phrase)
        self._candidates: list[Quote] = []
        self._best: list[list[tuple[float, Quote]]] = [[] for _ in asked]

    def add(self, text: str) -> None:
        """Analyse the next chunk. Raises Reject for what is data rather than text."""
        document = Document(text)
        self.chunks += 1
        self.tally += tally(document)
        if document.words:
            self._add_words(document)
            self._add_findings(document)
        self._at += len(text)

    def language(self) -> Language:
        """The language of most words, with the mean confidence of all of them."""
        if not self._languages:
            return Document("").language
        code = max(self._languages, key=lambda each: self._languages[each])
        share = self._languages[code] / sum(self._languages.values())
        found = self._known[code]
        return Language(code, found.name, round(found.confidence * share, 3))

    def phrases(self) -> list[Phrase]:
        """The best phrases; a count leaves out chunks where the phrase was not among the best two hundred."""
        chosen = heapq.nlargest(self._params.key_phrases, self._phrases.values(), key=lambda phrase: phrase.weight)
        best = chosen[0].weight if chosen else 1.0
        return [
            Phrase(phrase.written.most_common(1)[0][0], round(phrase.weight / best, 4), phrase.count)
            for phrase in chosen
        ]

    def summary(self) -> list[Quote]:
        """A summary of the chunks' summaries."""
        return self._summed_up(self._params.summary_sentences)

    def passages(self) -> list[list[tuple[Quote, float]]]:
        """For each question the passages with the best scores."""
        return [[(quote, score) for score, quote in best] for best in self._best]

    def _add_words(self, document: Document) -> None:
        if len(self.spellings) < MOST_SPELLINGS:
            self.spellings.update(document.words.vocabulary)
        else:
            self.more_spellings = self.more_spellings or not self.spellings.issuperset(document.words.vocabulary)
        language, words = document.language, len(document.words)
        self._languages[language.code] += words
        best = self._known.get(language.code)
        if best is None or language.confidence > best.confidence:
            self._known[language.code] = language

    def _add_findings(self, document: Document) -> None:
        words = len(document.words)
        for phrase in key_phrases(document, PHRASES_OF_A_CHUNK if self._params.key_phrases else 0):
            known = self._phrases[phrase.text.lower()]
            known.count += phrase.count
            known.weight += phrase.score * words
            known.written[phrase.text] += phrase.count
        if len(self._phrases) > MOST_PHRASES:
            kept = heapq.nlargest(MOST_PHRASES // 2, self._phrases.items(), key=lambda item: item[1].weight)
            self._phrases = defaultdict(_Phrase, kept)
        for sentence in summarise(document, self._params.summary_sentences):
            self._candidates.append(self._quote(document, sentence.start, sentence.end))
        if len(self._candidates) > MOST_CANDIDATES:
            self._candidates = self._summed_up(MOST_CANDIDATES // 4)
        for best, found in zip(self._best, answer(document, self._asked, self._params.passages), strict=True):
            best += [(passage.score, self._quoted(document, passage)) for passage in found]
            best.sort(key=lambda item: (-item[0], item[1]))
            del best[self._params.passages :]

    def _quoted(self, document: Document, passage: Passage) -> Quote:
        return self._quote(document, passage.start, passage.end)

    def _quote(self, document: Document, start: int, end: int) -> Quote:
        return Quote(self._at + start, self._at + end, document.text[start:end])

    def _summed_up(self, number: int) -> list[Quote]:
        if len(self._candidates) <= number:
            return list(self._candidates)
        starts = list(self._starts())
        joined = Document("\n\n".join(quote.text for quote in self._candidates))
        chosen = []
        for sentence in summarise(joined, number):
            at = bisect_right(starts, sentence.start) - 1
            quote, first, last = self._candidates[at], sentence.start - starts[at], sentence.end - starts[at]
            chosen.append(Quote(quote.start + first, quote.start + last, quote.text[first:last]))
        return chosen

    def _starts(self) -> Iterator[int]:
        at = 0
        for quote in self._candidates:
            yield at
            at += len(quote.text) + len("\n\n")
