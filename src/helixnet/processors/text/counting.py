"""Counts of a text, which add up over its chunks."""

from dataclasses import dataclass

from helixnet.processors.text.document import Document

WORDS_A_MINUTE = 238
"""Silent reading of English prose by adults: Brysbaert 2019, a meta-analysis of 190 studies."""
CHARACTERS_A_MINUTE = {"ja": 357}
OTHER_CHARACTERS_A_MINUTE = 255
"""Japanese, and Chinese: Trauzettel-Klosinski and Dietz 2012, the reading speeds of seventeen languages."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a text, and the minutes that it takes to read."""

    characters: int = 0
    words: int = 0
    sentences: int = 0
    paragraphs: int = 0
    minutes: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.characters + other.characters,
            self.words + other.words,
            self.sentences + other.sentences,
            self.paragraphs + other.paragraphs,
            self.minutes + other.minutes,
        )


def tally(document: Document) -> Tally:
    """The counts of one document."""
    words = document.words
    characters = sum(count for word, count in document.frequencies.items() if words.unspaced[word])
    by_character = CHARACTERS_A_MINUTE.get(document.language.code, OTHER_CHARACTERS_A_MINUTE)
    return Tally(
        characters=len(document.text),
        words=len(words),
        sentences=document.sentence_count,
        paragraphs=document.paragraph_count,
        minutes=(len(words) - characters) / WORDS_A_MINUTE + characters / by_character,
    )
