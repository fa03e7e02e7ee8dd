"""A text taken apart: its words, sentences and paragraphs, each with its place."""

import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from helixnet.processors.base import Reject
from helixnet.processors.text.language import Language, detect, stem_all, stop_words
from helixnet.processors.text.words import Words, bare, find_words

LONGEST_SENTENCE = 600
"""Characters; what runs on longer is cut at a space, so that one endless sentence can't become the whole answer."""
MOST_SPELLINGS = 1_000_000
MOST_SENTENCES = 1_000_000
LONG_LINE = 100
"""The mean length of a line, in characters, from which lines are paragraphs where no blank line parts any."""

_LINE_END = r"(?:\r\n?+|\n)"
# Possessive quantifiers, and branches that take a whole run of marks whether it ends a sentence or not (that is asked
# afterwards): nothing is tried twice, so no text makes these slow.
_PARAGRAPH_END = re.compile(rf"{_LINE_END}[^\S\r\n]*+{_LINE_END}\s*+|[\x00\f\u2029]\s*+")
_LINE = re.compile(rf"{_LINE_END}\s*+|[\x00\f\u2029]\s*+")
_SENTENCE_END = re.compile(
    r"(?P<stop>[.!?…\u061f\u06d4\u0589\u1362\u0964\u0965\u17d4\u104b]++)[\"'”’»)\]]*+"
    r"|[。！？｡]++(?P<quote>[」』）”’]*+)"
    r"|(?:\r\n?+|\n)(?=[^\S\r\n]*+(?:[-*•–—#>|]|\d{1,3}[.)])\s)"  # the next item of a list, a heading
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“‘«])(?:[^\W\d_]|mr|mrs|ms|dr|prof|st|ca|cf|vs|e\.g|i\.e|approx"
    r"|z\.b|d\.h|u\.a|bzw|hr|mme|mlle|sra?)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:^|[\s(\[])(?:nos?|nr|vol|pp?|figs?|abb|bd|art|ch|sec|núm|pág)$", re.IGNORECASE)
_CASED_START = re.compile(r"\s*+[\"'“‘«(\[]*+([^\W\d_])")
# Of single characters only Han ones carry a meaning, and of these not the ones that Chinese writes its grammar with.
_HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_FUNCTION_CHARACTERS = frozenset("的了是在和与與或不我你他她它这這那有也就都而及着為为把被对對从從到由个個们們吗嗎呢吧")


@dataclass(frozen=True, slots=True)
class Sentence:
    """text[start:end] is the sentence, words[first:last] are its words; `whole` is false for a piece of a long one."""

    start: int
    end: int
    first: int
    last: int
    paragraph: int
    whole: bool = True


class Document:
    """A text with all that is known of it; raises Reject for one that would take gigabytes of memory."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: Words = find_words(text, MOST_SPELLINGS)
        if len(self.words.vocabulary) > MOST_SPELLINGS:
            raise _too_much(f"{MOST_SPELLINGS:,} different words: it looks like data, not like something to read")
        self.frequencies: Counter[int] = Counter(self.words.ids)
        self.sentence_count = 0
        self.sentences: list[Sentence] = list(islice(self._find_sentences(), MOST_SENTENCES + 1))
        if len(self.sentences) > MOST_SENTENCES:
            raise _too_much(f"{MOST_SENTENCES:,} sentences, more than can be analysed at once")
        self.language: Language = detect(text)

    @property
    def paragraph_count(self) -> int:
        return self.sentences[-1].paragraph + 1 if self.sentences else 0

    @cached_property
    def stems(self) -> list[str]:
        """The stem of each spelling of the vocabulary."""
        return stem_all([bare(word) for word in self.words.vocabulary], self.language.code)

    @cached_property
    def stop(self) -> bytearray:
        """For each spelling whether it says little: a function word, a number, a lone letter, a lone syllable."""
        stops = stop_words(self.language.code)
        return bytearray(
            word[0] in _FUNCTION_CHARACTERS or not _HAN.match(word) if unspaced else says_little(word, stops)
            for word, unspaced in zip(self.words.vocabulary, self.words.unspaced, strict=True)
        )

    @cached_property
    def terms(self) -> "array[int]":
        """For each spelling the number of its stem, or -1 if it says little."""
        numbers: dict[str, int] = {}
        return array(
            "l",
            (
                -1 if stop else numbers.setdefault(stem, len(numbers))
                for stem, stop in zip(self.stems, self.stop, strict=True)
            ),
        )

    def _find_sentences(self) -> Iterator[Sentence]:
        starts = self.words.starts
        paragraph = -1
        last_paragraph = -1
        first = 0
        for number, start, end in self._pieces():
            last = bisect_left(starts, end, first)
            if last > first:
                if number != last_paragraph:
                    paragraph, last_paragraph = paragraph + 1, number
                self.sentence_count += 1
                yield from self._cut(start, end, first, last, paragraph)
            first = last

    def _pieces(self) -> Iterator[tuple[int, int, int]]:
        """(paragraph, start, end) of whatever may be a sentence, without the white space around it."""
        for number, (begin, stop) in enumerate(_paragraphs(self.text)):
            at = begin
            for match in _SENTENCE_END.finditer(self.text, begin, stop):
                if match.end() < stop and not self._ends_sentence(match, at):
                    continue
                yield number, *_strip(self.text, at, match.end())
                at = match.end()
            if at < stop:
                yield number, *_strip(self.text, at, stop)

    def _ends_sentence(self, match: "re.Match[str]", at: int) -> bool:
        text, marks = self.text, match["stop"]
        if not marks:
            # A closing bracket in the midst of a sentence: she said "Stop!" and went on.
            return not match["quote"] or text[match.end()].isspace()
        if not text[match.end()].isspace():
            return False
        following = _CASED_START.match(text, match.end(), match.end() + 64)
        if following and following[1].islower():
            return False
        if marks != ".":
            return True
        before = text[max(at, match.start() - 8) : match.start()]
        if _NUMBERED.search(before):
            return not text[match.end() : match.end() + 2].strip().isdigit()
        return not _ABBREVIATION.search(before)

    def _cut(self, start: int, end: int, first: int, last: int, paragraph: int) -> Iterator[Sentence]:
        if end - start <= LONGEST_SENTENCE:
            yield Sentence(start, end, first, last, paragraph)
            return
        starts, ends = self.words.starts, self.words.ends
        while first < last:
            # At least one word, and no cut inside of it unless it alone is too long.
            cut = max(first + 1, bisect_left(ends, start + LONGEST_SENTENCE, first, last))
            stop = end if cut == last else starts[cut]
            left, right = _strip(self.text, start, min(stop, start + LONGEST_SENTENCE))
            yield Sentence(left, right, first, cut, paragraph, whole=False)
            first, start = cut, stop


def _too_much(what: str) -> Reject:
    return Reject(f"The text holds over {what}.")


def says_little(word: str, stops: frozenset[str]) -> bool:
    """Whether the word is a function word, a number or a lone letter, in a script with spaces."""
    plain = bare(word)
    return word in stops or plain in stops or word[0].isdigit() or len(plain) < 2


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    blank_lines = _PARAGRAPH_END.search(text) is not None
    by_line = not blank_lines and len(text) > LONG_LINE * (1 + text.count("\n"))
    at = 0
    for match in (_LINE if by_line else _PARAGRAPH_END).finditer(text):
        yield at, match.start()
        at = match.end()
    yield at, len(text)


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
