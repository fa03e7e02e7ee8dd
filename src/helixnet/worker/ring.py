"""Rings: Celery messages that say "there is work in this queue", sent from threads, never waited for.

A ring may be lost, doubled or late at no harm: a lost one is replaced by beat's sweep, a spare one finds no work.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from celery import Celery

from helixnet import log

TASK = "helixnet.work"
EXPIRES_SECONDS = 10
CONFIRM_SECONDS = 2
COMPLAIN_EVERY_SECONDS = 30

logger = log.logger("helix.ring")


def broker_queue(queue: str) -> str:
    """The broker's name for the rings of a queue."""
    return f"helixnet.{queue}"


class Ringer:
    """Sends rings from at most `threads` threads; one that already waits for a queue stands for all that follow."""

    def __init__(self, app: Celery, threads: int = 4) -> None:
        self._app = app
        self._senders = ThreadPoolExecutor(threads, thread_name_prefix="ring")
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._quiet_until = 0.0

    def ring(self, queue: str) -> "Future[bool] | None":
        """Say that there is work in a queue; returns at once. The answer, if any, tells whether the broker took it."""
        with self._lock:
            if queue in self._waiting:
                return None
            self._waiting.add(queue)
        return self._senders.submit(self._send, queue)

    def _send(self, queue: str) -> bool:
        with self._lock:
            self._waiting.discard(queue)  # before the message leaves: work that comes now gets a ring of its own
        try:
            self._app.send_task(
                TASK,
                args=(queue,),
                queue=broker_queue(queue),
                expires=EXPIRES_SECONDS,
                ignore_result=True,
                retry=False,
                confirm_timeout=CONFIRM_SECONDS,
            )
        except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the sweep rings again
            self._complain(queue, error)
            return False
        return True

    def _complain(self, queue: str, error: Exception) -> None:
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + COMPLAIN_EVERY_SECONDS
            logger.warning("the broker did not take a ring; the sweep rings again", queue=queue, error=repr(error))

    def close(self) -> None:
        """Give the rings on their way a moment, and stop."""
        self._senders.shutdown(wait=True, cancel_futures=True)
