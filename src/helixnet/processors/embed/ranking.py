"""The best passages for each question, kept while the text goes by."""

import heapq
from typing import Any

from helixnet.processors.embed.chunking import Chunk

Scored = tuple[float, int, Chunk]


class Ranking:
    """For each question the `number` best passages that do not overlap and reach `threshold`.

    Each passage has a sentence that the one before has not, and reaches back over at most `overlap` of them: so it
    overlaps at most as many on either side, and so many more are kept to choose from.
    """

    def __init__(self, questions: Any, number: int, threshold: float, overlap: int) -> None:
        self._questions = questions
        self._number = number
        self._kept = number * (1 + 2 * overlap)
        self._threshold = threshold
        self._best: list[list[Scored]] = [[] for _ in range(len(questions))]

    def add(self, chunks: list[Chunk], vectors: Any) -> None:
        """Compare passages, by their vectors of unit length, with every question."""
        scores = vectors @ self._questions.T
        for at, best in enumerate(self._best):
            column = scores[:, at]
            floor = best[0][0] if len(best) == self._kept else self._threshold
            for row in (column >= floor).nonzero()[0]:
                # Of equal ones the first of the text is the better one.
                scored = (float(column[row]), -chunks[row].start, chunks[row])
                if len(best) < self._kept:
                    heapq.heappush(best, scored)
                elif scored[:2] > best[0][:2]:
                    heapq.heapreplace(best, scored)

    def best(self, question: int) -> list[tuple[Chunk, float]]:
        """The passages for one question, the best first."""
        chosen: list[tuple[Chunk, float]] = []
        for score, _place, chunk in sorted(self._best[question], key=lambda each: each[:2], reverse=True):
            if all(chunk.end <= other.start or other.end <= chunk.start for other, _ in chosen):
                chosen.append((chunk, score))
                if len(chosen) == self._number:
                    break
        return chosen
