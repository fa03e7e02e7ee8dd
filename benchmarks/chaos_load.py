"""The clients under chaos: they submit a steady stream over HTTP, and remember every promise that was made to them."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

import httpx2

from benchmarks.chaos_answers import Document, Right, documents
from benchmarks.chaos_jobs import BATCH, HungUp, Jobs, Submission
from benchmarks.chaos_stack import ChaosError

API = "/api/v1"
DEMO = {"username": "demo@helix.net", "password": "demo"}
# An answer that is not here in time is as good as none: what became of the request is unknown.
ANSWER_SECONDS, CONNECT_SECONDS = 20.0, 2.0
# A dead web is asked again after this long.
PAUSE_SECONDS = 0.25
PROOF_SECONDS = 60.0
DOCUMENTS = 12


@dataclass(frozen=True, slots=True)
class Promise:
    """A job that was answered 201, and how it has to end."""

    job_id: UUID
    kind: str
    right: Right


@dataclass
class Ledger:
    """What the clients were told, all of them together. `refused`: right submissions that were called wrong."""

    promises: list[Promise] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)  # by what became of them
    refused: list[str] = field(default_factory=list)
    longest_answer: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, promises: list[Promise], seconds: float) -> None:
        with self._lock:
            self.promises += promises
            self.requests["answered 201"] += 1
            self.longest_answer = max(self.longest_answer, seconds)

    def count(self, outcome: str) -> None:
        with self._lock:
            self.requests[outcome] += 1

    def refuse(self, words: str) -> None:
        with self._lock:
            self.requests["refused"] += 1
            self.refused.append(words)


class Load:
    """`clients` threads that submit `rate` requests a second together, from `start` to `stop`."""

    def __init__(self, url: str, clients: int, rate: float, seed: int) -> None:
        self.ledger = Ledger()
        self._stopping = threading.Event()
        given = documents(DOCUMENTS, random.Random(f"{seed} documents"))
        self._clients = [
            _Client(url, self.ledger, given, clients / rate, random.Random(f"{seed} client {number}"), self._stopping)
            for number in range(clients)
        ]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """End the streams; each client first has one last job accepted, by a platform that nobody harms any more.

        Raises ChaosError when a client could not understand an answer.
        """
        self._stopping.set()
        for client in self._clients:
            client.join()
        for client in self._clients:
            if client.failure is not None:
                raise ChaosError(f"a client came to grief: {client.failure!r}") from client.failure


class _Client(threading.Thread):
    """One client, with a connection and a token of its own; `pause` is the mean time between requests in seconds."""

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        given: list[Document],
        pause: float,
        rng: random.Random,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name="client", daemon=True)
        self.failure: Exception | None = None
        patience = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self._http = httpx2.Client(base_url=url + API, timeout=patience, trust_env=False)
        self._ledger = ledger
        self._jobs = Jobs(rng, given)
        self._pause = pause
        self._rng = rng
        self._stopping = stopping

    def run(self) -> None:
        try:
            with self._http:
                self._stream()
                self._prove_service()
        except Exception as error:  # noqa: BLE001 - a thread's end is seen by nobody: `stop` raises it
            self.failure = error

    def _stream(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            self._try(self._jobs.draw())
            self._stopping.wait(max(0.0, began + self._pause * self._rng.uniform(0.5, 1.5) - time.monotonic()))

    def _prove_service(self) -> None:
        end = time.monotonic() + PROOF_SECONDS
        while not self._try(self._jobs.echo()):
            if time.monotonic() > end:
                self._ledger.refuse(f"{PROOF_SECONDS:g} s after the last fault a client still gets no answer")
                return

    def _try(self, submission: Submission) -> bool:
        """Send it as a client does that knows that servers die; answers whether it was answered."""
        try:
            if "Authorization" not in self._http.headers:
                self._sign_in()
            self._send(submission)
        except HungUp:
            self._ledger.count("hung up")
        except httpx2.TimeoutException:
            self._ledger.count("no answer in time")
        except httpx2.TransportError:
            self._ledger.count("connection lost")
        except _Unavailable as error:
            self._ledger.count(str(error))
        else:
            return True
        time.sleep(PAUSE_SECONDS)
        return False

    def _sign_in(self) -> None:
        answer = self._http.post("/auth/token", data=DEMO)
        if not answer.is_success:
            raise _Unavailable(f"sign-in answered {answer.status_code}")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _send(self, submission: Submission) -> None:
        began = time.monotonic()
        answer = self._http.post(submission.path, **submission.content)
        seconds = time.monotonic() - began
        match answer.status_code:
            case 201:
                self._accept(submission, answer, seconds)
            case 401:
                del self._http.headers["Authorization"]
                raise _Unavailable("answered 401")
            case 404 | 405 if submission.path == BATCH:
                self._jobs.with_batches = False  # a HelixNet that has none yet
            case 429 | 500 | 502 | 503 | 504 as code:
                raise _Unavailable(f"answered {code}")
            case code:
                self._ledger.refuse(f"{submission.kind}: {code} {answer.text[:300]}")

    def _accept(self, submission: Submission, answer: httpx2.Response, seconds: float) -> None:
        told = answer.json()
        ids = [UUID(job_id) for job_id in (told["job_ids"] if submission.path == BATCH else [told["job_id"]])]
        if len(ids) != len(submission.rights):
            self._ledger.refuse(f"{submission.kind}: {len(ids)} ids for {len(submission.rights)} jobs")
        found = zip(ids, submission.rights, strict=False)
        self._ledger.accept([Promise(job_id, submission.kind, right) for job_id, right in found], seconds)
        if submission.cancel_after is not None:
            self._stopping.wait(submission.cancel_after)
            self._http.post(f"/jobs/{ids[0]}/cancel")


class _Unavailable(Exception):
    """An answer that says: not now."""
