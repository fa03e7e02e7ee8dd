"""How long a text is in tokens, at most likely, and where to part it.

Each model has a tokenizer of its own, which its server knows and we don't: the usual ones can't be had without a
download. So a text is estimated, rather too long than too short, and the server has the last word: it counts what it
was sent, and refuses what is too much for it.
"""

import math
import re
from collections.abc import Iterator

# English and its like have four to five letters for a token; digits and signs often have one each.
LETTERS_PER_TOKEN = 3.0
# Of other scripts a token takes two to three bytes in large vocabularies, less in small ones.
BYTES_PER_TOKEN = 2.0
# Roles and marks that a server puts around each message.
MESSAGE_TOKENS = 8
SMALLEST_PART = 64

_LETTERS = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1)) + b" "
_ASCII = bytes(range(128))
# Where a text may be parted, the best places first. None of them looks at a character more than a few times.
_PLACES = tuple(
    re.compile(pattern)
    for pattern in (
        r"\n[ \t]*+\n+",
        r"\n",
        r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+\s++|[。！？]",
        r"(?<!\s)\s++",
    )
)


def estimate(text: str) -> int:
    """The tokens of a text, more likely too many than too few."""
    written = text.encode(errors="replace")
    foreign = len(written.translate(None, _ASCII))
    letters = len(written) - len(written.translate(None, _LETTERS))
    signs = len(written) - foreign - letters
    return math.ceil(letters / LETTERS_PER_TOKEN + signs + foreign / BYTES_PER_TOKEN)


def split(text: str, limit: int) -> list[str]:
    """The text in parts of at most `limit` tokens each, parted between paragraphs, else lines, sentences or words.

    Put together again they are the text. Raises ValueError for a limit below one token.
    """
    if limit < 1:
        raise ValueError("a part has at least one token")
    parts: list[str] = []
    current: list[str] = []
    size = 0
    for piece in _pieces(text, limit, 0):
        tokens = estimate(piece)
        if current and size + tokens > limit:
            parts.append("".join(current))
            current, size = [], 0
        current.append(piece)
        size += tokens
    if current:
        parts.append("".join(current))
    return parts


def _pieces(text: str, limit: int, level: int) -> Iterator[str]:
    """Pieces that fit, each as large as the kind of place where it ends allows."""
    if estimate(text) <= limit:
        if text:
            yield text
        return
    if level == len(_PLACES):
        # A wall of characters. A piece of half the limit in characters may still be too long where each is several.
        step = max(1, limit // 4)
        yield from (text[start : start + step] for start in range(0, len(text), step))
        return
    start = 0
    for place in _PLACES[level].finditer(text):
        yield from _pieces(text[start : place.end()], limit, level + 1)
        start = place.end()
    yield from _pieces(text[start:], limit, level + 1)
