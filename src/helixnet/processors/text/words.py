"""Words: where they are in a text, whatever the script, and how often each occurs."""

import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

LONGEST_WORD = 64
"""Characters of a word that are looked at; what goes on longer is data, not a word."""

# Scripts written without spaces: Han, Hiragana, Thai, Lao, Burmese, Khmer. There, as in word processors and in the
# default rules of Unicode Standard Annex #29, each character is a word. Katakana runs are one word each.
_UNSPACED = (
    "\u0e01-\u0e4f\u0e81-\u0edf\u1000-\u109f\u1780-\u17df\u3005-\u3007\u3041-\u309f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f"
# Python's \w leaves out combining marks, and would cut Hindi at every vowel sign.
_MARKS = (
    "".join(chr(code) for code in range(0x300, 0x1E00) if unicodedata.category(chr(code)) in {"Mn", "Mc"})
    + "\u20d0-\u20f0\u3099\u309a\ufe20-\ufe2f\u200c\u200d"
)
_LETTER = rf"[^\W_{_UNSPACED}{_KATAKANA}]"
# Possessive quantifiers: nothing is tried twice, so no text makes this slow. Around a group they are wrong before
# Python 3.11.5 (python/cpython#106052), so there the group's own beginning keeps it from being tried in two ways.
_WORD = re.compile(
    rf"{_LETTER}++(?:(?:[{_MARKS}]|['’](?={_LETTER})|(?<=[0-9])[.,](?=[0-9])){_LETTER}*+)*"
    rf"|[{_UNSPACED}][{_MARKS}]*+|[{_KATAKANA}]++"
)
_UNSPACED_WORD = re.compile(rf"[{_UNSPACED}]")
_ELISION = re.compile(r"(?:[cdjlmnst]|qu|lorsqu|puisqu|jusqu|all|dall|dell|nell|sull|quest|un)'(?=\w)")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text in order, twelve bytes each: `ids` names the spelling, text[starts[i]:ends[i]] is the word.

    `vocabulary` holds the spellings, in lower case and Unicode form NFKC; `unspaced[id]` is true for a character of
    a script without spaces.
    """

    vocabulary: list[str] = field(default_factory=list)
    unspaced: bytearray = field(default_factory=bytearray)
    ids: "array[int]" = field(default_factory=lambda: array("I"))
    starts: "array[int]" = field(default_factory=lambda: array("I"))
    ends: "array[int]" = field(default_factory=lambda: array("I"))

    def __len__(self) -> int:
        return len(self.ids)


def find_words(text: str, most: int = 1_000_000) -> Words:
    """Every word of the text, with its place; it stops once there are more than `most` different ones."""
    words = Words()
    known: dict[str, int] = {}
    spellings: dict[str, int] = {}
    # Bound once: this loop runs for every word of the text.
    recall, add, add_start, add_end = known.get, words.ids.append, words.starts.append, words.ends.append
    for match in _WORD.finditer(text):
        start, end = match.span()
        written = text[start:end]
        number = recall(written)
        if number is None:
            spelling = normal(written[:LONGEST_WORD])
            if len(words.vocabulary) > most:
                break
            number = known[written] = spellings.setdefault(spelling, len(spellings))
            if number == len(words.vocabulary):
                words.vocabulary.append(spelling)
                words.unspaced.append(_UNSPACED_WORD.match(spelling) is not None)
        add(number)
        add_start(start)
        add_end(end)
    return words


def spellings(text: str) -> Iterator[str]:
    """The words of a short text, in lower case and Unicode form NFKC."""
    return (normal(match.group()[:LONGEST_WORD]) for match in _WORD.finditer(text))


def normal(word: str) -> str:
    """The word in lower case, Unicode form NFKC and with a straight apostrophe."""
    lower = word.lower()
    return lower if lower.isascii() else unicodedata.normalize("NFKC", lower).replace("’", "'")


def bare(spelling: str) -> str:
    """The spelling without what apostrophes join to it: l'homme is homme, the king's is king."""
    if "'" not in spelling:
        return spelling
    return _ELISION.sub("", spelling, count=1).removesuffix("'s")
