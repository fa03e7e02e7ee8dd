"""One pass over a file: its hashes, its beginning, its end, and whatever is looked for in between."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from helixnet.processors.context import BlockingContext, BlockingInput

HEAD_BYTES = 1024 * 1024
STEP = 0.05
"""The fraction of the file after which progress is told again."""


class Pass:
    """Reads a file once, in pieces; `head` is its beginning, and after `finish` its `size`, `tail` and `digests`
    are known."""

    def __init__(self, context: BlockingContext, source: BlockingInput, hashes: Sequence[str]) -> None:
        self._context = context
        self._expected = max(source.size, 1)
        self._pieces = source.stream()
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", *hashes)}
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._told = 0.0
        self.tail_bytes = HEAD_BYTES
        self.size = 0
        self._first: list[bytes] = []
        while self.size < HEAD_BYTES and (piece := self._next()) is not None:
            self._first.append(piece)
        self.head = b"".join(self._first)[:HEAD_BYTES]

    def pieces(self) -> Iterator[bytes]:
        """The whole file from its first byte; may be left early, and can be asked for once."""
        first, self._first = self._first, []
        yield from first
        while (piece := self._next()) is not None:
            yield piece

    def finish(self) -> None:
        """Read whatever is left."""
        while self._next() is not None:
            pass

    @property
    def is_whole(self) -> bool:
        """Whether `head` is the whole file."""
        return self._expected <= len(self.head)

    @property
    def tail(self) -> bytes:
        """The last `tail_bytes` that were read."""
        return b"".join(self._kept)[-self.tail_bytes :]

    @property
    def digests(self) -> dict[str, str]:
        """The hashes of all that was read, by name, in hex."""
        return {name: digest.hexdigest() for name, digest in self._digests.items()}

    def _next(self) -> bytes | None:
        piece = next(self._pieces, None)
        if piece is None:
            return None
        self.size += len(piece)
        for digest in self._digests.values():
            digest.update(piece)
        self._kept.append(piece)
        self._kept_bytes += len(piece)
        while self._kept_bytes - len(self._kept[0]) >= self.tail_bytes:
            self._kept_bytes -= len(self._kept.popleft())
        fraction = min(self.size / self._expected, 1.0)
        if fraction >= self._told + STEP and self._expected > HEAD_BYTES:
            self._told = fraction
            self._context.progress(0.9 * fraction, f"Read {self.size:,} bytes")
        return piece


class Reader:
    """Exact reads from pieces, and skips that keep nothing."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._piece = b""
        self._at = 0
        self.position = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        end = self._at + size
        if end <= len(self._piece):
            found = self._piece[self._at : end]
            self._at = end
            self.position += size
            return found
        parts, missing = [self._piece[self._at :]], size - (len(self._piece) - self._at)
        while missing > 0 and self._turn():
            parts.append(self._piece[:missing])
            self._at = min(missing, len(self._piece))
            missing -= self._at
        found = b"".join(parts)
        self.position += len(found)
        return found

    def skip(self, size: int) -> bool:
        """Pass over `size` bytes; false if there are not as many."""
        while size > 0:
            here = min(size, len(self._piece) - self._at)
            self._at += here
            self.position += here
            size -= here
            if size and not self._turn():
                return False
        return True

    def _turn(self) -> bool:
        piece = next(self._pieces, None)
        self._piece, self._at = piece or b"", 0
        return piece is not None
