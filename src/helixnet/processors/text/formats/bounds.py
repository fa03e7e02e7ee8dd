"""How much a document may make its reader work."""

import time

from helixnet.processors.base import OverLimit

CPU_SECONDS = 120.0
MOST_CHARACTERS = 256 * 1024 * 1024


class Bounds:
    """Bounds on one document: CPU seconds of this process from now on, and characters of its text."""

    def __init__(self, what: str, seconds: float = CPU_SECONDS, characters: int = MOST_CHARACTERS) -> None:
        self._what = what
        self._seconds = seconds
        self._end = time.process_time() + seconds
        self._characters = characters
        self._taken = 0

    def look(self) -> None:
        """Raise OverLimit once the time is used up."""
        if time.process_time() > self._end:
            raise OverLimit(f"Reading the {self._what} takes more than {self._seconds:g} s of CPU time.")

    def take(self, text: str) -> str:
        """The text, counted; raises OverLimit once there is too much of it."""
        self._taken += len(text)
        if self._taken > self._characters:
            raise OverLimit(f"The {self._what} holds over {self._characters:,} characters of text.")
        return text
