"""The body of a batch, cut into jobs while it streams in: what is cut off is gone, so little of it is ever held."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Protocol

from helixnet.errors import Invalid

SPACE = re.compile(r"[ \t\n\r]*")


class Cutter(Protocol):
    """Gives each job of a body with its number, counted from 1, as the bytes of its JSON.

    A job that is longer than the cutter was told may come cut short, but longer than that all the same.
    """

    def take(self, piece: bytes, *, last: bool) -> Iterator[tuple[int, bytes]]:
        """The jobs that end in this piece of the body; iterate to the end before the next. Raises Invalid."""


class Lines:
    """Cuts NDJSON at the ends of lines. Blank lines are counted and left out; the last one may lack its end."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._number = 0
        self._rest = b""

    def take(self, piece: bytes, *, last: bool) -> Iterator[tuple[int, bytes]]:
        first, *others = piece.split(b"\n")
        lines = [self._rest + first[: self._longest + 1 - len(self._rest)], *others]
        self._rest = b"" if last else lines.pop()[: self._longest + 1]
        for line in lines:
            self._number += 1
            if line and not line.isspace():
                yield self._number, line


class Elements:
    """Cuts a JSON array between its elements, without taking any of them apart."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._number = 0
        self._text = ""
        self._expects = "["
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._parse = json.JSONDecoder().raw_decode

    def take(self, piece: bytes, *, last: bool) -> Iterator[tuple[int, bytes]]:
        try:
            self._text += self._utf8.decode(piece, last)
        except UnicodeDecodeError:
            raise Invalid(f"The body is not UTF-8, somewhere behind job {self._number}.") from None
        text, at = self._text, 0
        while (at := SPACE.match(text, at).end()) < len(text):  # type: ignore[union-attr]
            if self._expects == "element" or (self._expects == "element or ]" and text[at] != "]"):
                end = self._end_of_element(text, at, last=last)
                if end is None:
                    break
                self._number += 1
                yield self._number, text[at:end].encode()
                at, self._expects = end, ", or ]"
            else:
                self._step(text[at])
                at += 1
        self._text = text[at:]
        if last and self._expects != "nothing":
            raise Invalid(self._broken("the body ends too early"))

    def _step(self, sign: str) -> None:
        """Over a sign between two elements."""
        if self._expects == "[" and sign == "[":
            self._expects = "element or ]"
        elif self._expects == ", or ]" and sign == ",":
            self._expects = "element"
        elif self._expects in {", or ]", "element or ]"} and sign == "]":
            self._expects = "nothing"
        elif self._expects == "[":
            raise Invalid("The body must be a JSON array of jobs; lines of JSON go as application/x-ndjson.")
        else:
            raise Invalid(self._broken(f"{self._expects} was expected, not {sign!r}"))

    def _end_of_element(self, text: str, at: int, *, last: bool) -> int | None:
        """Where the element ends that begins at `at`; None if more of the body must be seen."""
        try:
            end: int = self._parse(text, at)[1]
        except json.JSONDecodeError as error:
            if last:
                raise Invalid(self._broken(error.msg)) from None
            if len(text) - at > self._longest:
                raise Invalid(self._broken(f"{error.msg}, or it is longer than {self._longest} bytes")) from None
            return None
        except (ValueError, RecursionError) as error:
            raise Invalid(self._broken(str(error))) from None
        # A number that ends with the piece may go on in the next one.
        return None if end == len(text) and not last else end

    def _broken(self, how: str) -> str:
        return f"Job {self._number + 1} of the array is not JSON: {how}."
