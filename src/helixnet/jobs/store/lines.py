"""What a worker process remembers of the lines in a queue, so that a claim need not look for it again.

A claimed job leaves its entry in jobs_line_idx until the table is vacuumed, and whoever looks for the head of a line
steps over all of them: after some hundred thousand jobs that costs more than the claim itself. Memory is no truth:
jobs may come back behind the place where a line was left, so it is given up often, and whenever nothing is found.
"""

import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from helixnet.arrays import NULL, Array, Element, smallint, timestamp, uuid

NOBODY = UUID(int=0)
EVERYBODY = UUID(int=2**128 - 1)
# Stands for the priorities in which no line is known.
OTHERS = -1
# A job that came back behind the place where its line was left waits so much longer, while its line is served.
BELIEVED_SECONDS = 1.0

Stretch = tuple[bytes, bytes, bytes, bytes, bytes]


class Served(Protocol):
    """A claimed job: whose it is, and its place in line."""

    @property
    def id(self) -> UUID: ...
    @property
    def owner_id(self) -> UUID: ...
    @property
    def priority(self) -> int: ...
    @property
    def available_at(self) -> datetime: ...


class Lines:
    """The lines of a queue: whom a process served last (`after`), and how far it has come in each line."""

    def __init__(self, after: UUID = NOBODY, clock: Callable[[], float] = time.monotonic) -> None:
        self._after = after
        self._clock = clock
        self._since = 0.0
        self._places: dict[tuple[int, bytes], tuple[bytes, bytes]] = {}
        self._owners: dict[int, list[bytes]] = {}

    def served(self, jobs: Sequence[Served]) -> None:
        """Remember the jobs of a claim, in their order."""
        if not jobs:
            return
        self._after = jobs[-1].owner_id
        if not self._places:
            self._since = self._clock()
        last_of_lines = {(job.priority, job.owner_id): job for job in jobs}
        for (priority, owner_id), job in last_of_lines.items():
            owner = uuid(owner_id)
            if (priority, owner) not in self._places:
                insort(self._owners.setdefault(priority, []), owner)
            self._places[priority, owner] = timestamp(job.available_at), uuid(job.id)

    def forget(self) -> bool:
        """Forget all places, but not whose turn it is; answers whether there were any."""
        known = bool(self._places)
        self._places.clear()
        self._owners.clear()
        return known

    def stretches(self, limit: int) -> dict[str, Array]:
        """Where to look for owners who wait, in the order of their turns: five arrays for the claim's statement.

        Each element is a stretch of the owners of a priority (`levels`): those between `lows` and `highs`, and then, if
        `times` and `ids` say its place, the line of the one at its end. The lines of `limit` owners are known at most.
        """
        if self._clock() - self._since > BELIEVED_SECONDS:
            self.forget()
        after, end = uuid(self._after), uuid(UUID(int=min(self._after.int + 1, EVERYBODY.int)))
        others = smallint(OTHERS)
        found: list[Stretch] = [
            (others, after, uuid(EVERYBODY), NULL, NULL),
            (others, uuid(NOBODY), end, NULL, NULL),
        ]
        for priority, owners in self._owners.items():
            first = bisect_right(owners, after)
            behind = owners[first : first + limit]
            before = owners[: min(first, limit - len(behind))]
            found += self._stretches(priority, after, behind, uuid(EVERYBODY))
            found += self._stretches(priority, uuid(NOBODY), before, end)
        levels, lows, highs, times, ids = zip(*found, strict=True)
        return {
            "levels": Array.of(Element.SMALLINT, levels),
            "lows": Array.of(Element.UUID, lows),
            "highs": Array.of(Element.UUID, highs),
            "times": Array.of(Element.TIMESTAMPTZ, times),
            "ids": Array.of(Element.UUID, ids),
        }

    def _stretches(self, priority: int, low: bytes, owners: list[bytes], high: bytes) -> Iterator[Stretch]:
        level = smallint(priority)
        for owner in owners:
            yield level, low, owner, *self._places[priority, owner]
            low = owner
        yield level, low, high, NULL, NULL
