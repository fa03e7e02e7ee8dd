"""The stream's jobs: a seeded mix of submissions, each with the way in which its jobs have to end."""

import json
import random
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.chaos_answers import COMPLETED, Document, Right, right_json

JOBS, BATCH, UPLOAD = "/jobs", "/jobs/batch", "/jobs/upload"
# Under fire attempts are lost; with this many a job should still come to its result.
MAX_ATTEMPTS = 6
FEWEST_IN_BATCH, MOST_IN_BATCH = 50, 200
LETTERS = string.ascii_letters + string.digits + " äöüß→日本語✨"
PIECE_BYTES, PIECES, PIECE_SECONDS = 1024 * 1024, 20, 0.05

Values = dict[str, Any]


class HungUp(Exception):
    """The client goes away in the middle of its request."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request: `content` as httpx2 takes it. For each job that is accepted by it, `rights` tells its right end."""

    kind: str
    path: str
    content: Values
    rights: tuple[Right, ...]
    cancel_after: float | None = None  # seconds


class Jobs:
    """Draws one submission after another."""

    def __init__(self, rng: random.Random, documents: list[Document]) -> None:
        self.with_batches = True
        self._rng = rng
        self._documents = documents
        # The share of each kind in the requests.
        self._kinds: dict[Callable[[], Submission], float] = {
            self.echo: 44,
            self._large_echo: 3,
            self._delayed_echo: 10,
            self._short_sleep: 11,
            self._long_sleep: 1.5,
            self._failing_once: 5,
            self._rejected: 3,
            self._cancelled: 2.5,
            self._analysis: 16,
            self._broken_upload: 2,
            self._large_broken_upload: 2,
            self._batch: 2,
        }

    def draw(self) -> Submission:
        """The next submission; each has something of its own."""
        submission = self._rng.choices(list(self._kinds), list(self._kinds.values()))[0]()
        return submission if self.with_batches or submission.path != BATCH else self.echo()

    def echo(self) -> Submission:
        return self._one("echo", *self._message(self._rng.randint(0, 400)))

    def _large_echo(self) -> Submission:
        """An answer that is too large for the row and becomes an object."""
        return self._one("large echo", *self._message(self._rng.randint(10_000, 60_000)))

    def _delayed_echo(self) -> Submission:
        later = datetime.now(UTC) + timedelta(seconds=self._rng.uniform(0.5, 5))
        values, right = self._message(50)
        return self._one("delayed echo", values | {"available_at": later.isoformat()}, right)

    def _short_sleep(self) -> Submission:
        return self._one("short sleep", *self._sleep(self._rng.uniform(0.05, 0.5)))

    def _long_sleep(self) -> Submission:
        return self._one("long sleep", *self._sleep(self._rng.uniform(2, 5)))

    def _failing_once(self) -> Submission:
        return self._one("fails once", self._job("core.fail", {"times": 1}), right_json({"failures": 1}))

    def _rejected(self) -> Submission:
        return self._one("rejected", self._job("core.fail", {"kind": "reject"}), Right(frozenset({"FAILED"})))

    def _cancelled(self) -> Submission:
        values, right = self._sleep(4)
        either = Right(COMPLETED | {"CANCELLED"}, right.stored, right.value)
        return Submission("cancelled", JOBS, {"json": values}, (either,), cancel_after=self._rng.uniform(0, 1.5))

    def _analysis(self) -> Submission:
        document = self._rng.choice(self._documents)
        files = {"content_key": ("content.txt", document.content), "context_key": ("context.txt", document.context)}
        fields = {"priority": str(self._rng.randint(0, 9))}
        return Submission("text analysis", UPLOAD, {"files": files, "data": fields}, (document.right,))

    def _broken_upload(self) -> Submission:
        """Hang up after the second file: both are stored already, and belong to nobody."""
        return self._breaking_off(lambda: iter([self._rng.choice(self._documents).content]))

    def _large_broken_upload(self) -> Submission:
        """The same, slowly: whoever kills the web meanwhile leaves files that are half written."""

        def pieces() -> Iterator[bytes]:
            for _ in range(PIECES):
                time.sleep(PIECE_SECONDS)
                yield b"half a file " * (PIECE_BYTES // 12)

        return self._breaking_off(pieces)

    def _breaking_off(self, file: Callable[[], Iterator[bytes]]) -> Submission:
        boundary = f"b{self._rng.randrange(10**12)}"

        def body() -> Iterator[bytes]:
            for role in ("content_key", "context_key"):
                head = f'Content-Disposition: form-data; name="{role}"; filename="{role}.txt"'
                yield f"--{boundary}\r\n{head}\r\n\r\n".encode()
                yield from file()
                yield b"\r\n"
            raise HungUp

        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return Submission("broken upload", UPLOAD, {"content": body(), "headers": kind}, ())

    def _batch(self) -> Submission:
        echoes = [self._message(30) for _ in range(self._rng.randint(FEWEST_IN_BATCH, MOST_IN_BATCH))]
        rights = tuple(right for _values, right in echoes)
        jobs = [values for values, _right in echoes]
        content: Values = {"json": jobs}
        if self._rng.random() < 0.5:
            lines = "".join(f"{json.dumps(values)}\n" for values in jobs)
            content = {"content": lines.encode(), "headers": {"Content-Type": "application/x-ndjson"}}
        return Submission("in a batch", BATCH, content, rights)

    def _one(self, kind: str, values: Values, right: Right) -> Submission:
        return Submission(kind, JOBS, {"json": values}, (right,))

    def _message(self, length: int) -> tuple[Values, Right]:
        params = {"message": "".join(self._rng.choices(LETTERS, k=length))}
        return self._job("core.echo", params), right_json(params)

    def _sleep(self, seconds: float) -> tuple[Values, Right]:
        seconds = round(float(seconds), 2)
        return self._job("core.sleep", {"seconds": seconds}), right_json({"slept_seconds": seconds})

    def _job(self, processor: str, params: Values) -> Values:
        priority = self._rng.randint(0, 9)
        return {"processor": processor, "params": params, "priority": priority, "max_attempts": MAX_ATTEMPTS}
