"""What a processor says, in a form that can be kept: its words, and the names of its artifacts."""

from collections.abc import Collection

LONGEST_LINE = 4000
RESERVED_NAMES = frozenset({"", ".", "..", "result.json"})


def storable(text: str, longest: int = LONGEST_LINE) -> str:
    """A processor's words as PostgreSQL can hold them: no NUL, no half surrogate, no end of a novel."""
    return text.replace("\x00", "").encode(errors="replace").decode()[:longest]


def check_name(name: str, taken: Collection[str]) -> None:
    """Raise ValueError unless an artifact may be called so beside those that the attempt has written."""
    if name in RESERVED_NAMES or "/" in name or "\x00" in name:
        raise ValueError(f"{name!r} can't be the name of an artifact")
    if name in taken:
        raise ValueError(f"this attempt has written an artifact called {name!r} already")
