"""Warnings: each kind once, however many entries of an archive it concerns, with the first of them by name."""

import unicodedata

from helixnet.processors.media.results import Warned

LONGEST_NAME = 300
# Persian, many Indian scripts and emoji are written with them.
_JOINERS = "\u200c\u200d"
_ENTRIES = {
    "outside": "would be unpacked outside of the folder that they are unpacked to",
    "links_outside": "are links that lead outside of the archive",
    "links": "are links",
    "devices": "are devices or pipes, not files",
    "hidden_signs": "have control characters or signs that turn the direction of writing in their names",
    "twice": "have a name that another entry has",
    "encrypted": "are encrypted",
    "impossible": "claim a size that their packed bytes cannot unpack to",
    "nested": "are archives themselves, which were not opened: what they unpack to is not counted",
    "header_too_long": "have names or attributes of over 1 MiB, which were left out",
}


class Notes:
    """The warnings that come up while a file is read."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        self._entries: dict[str, tuple[int, str]] = {}

    def say(self, code: str, message: str) -> None:
        """Warn of the file as a whole."""
        self._said.setdefault(code, message)

    def entry(self, code: str, name: str) -> None:
        """Warn of one entry of an archive; `code` is one of those that there are sentences for."""
        count, first = self._entries.get(code, (0, name))
        self._entries[code] = (count + 1, first)

    def all(self) -> list[Warned]:
        """Every warning, those of the whole file first."""
        entries = [
            Warned(code=code, message=f"Entries that {_ENTRIES[code]}: {count:,}, the first of them {shown(name)!r}.")
            for code, (count, name) in self._entries.items()
        ]
        return [Warned(code=code, message=message) for code, message in self._said.items()] + entries


def shown(text: str, longest: int = LONGEST_NAME) -> str:
    """A text out of a file as it may stand in a result: no control or direction signs, no half surrogates, no NUL."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(letter if is_plain(letter) else "\ufffd" for letter in cut)


def is_plain(letter: str) -> bool:
    """Whether a sign shows as itself: no control sign, and none that turns the direction of writing."""
    return letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs"
