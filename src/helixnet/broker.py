"""The doorbell: Celery as HelixNet uses it, and the rings that say "there is work in this queue".

A ring carries no job. It may be lost, doubled or late at no harm: a lost one is replaced by beat's sweep, a spare one
finds no work.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from helixnet import log
from helixnet.config import Settings

TASK = "helixnet.work"
EXPIRES_SECONDS = 10
CONFIRM_SECONDS = 2
COMPLAIN_EVERY_SECONDS = 30

logger = log.logger("helix.ring")


def create_app(settings: Settings) -> Celery:
    """Celery as a doorbell: no results, no events, early acknowledgement, and no wait without an end.

    The reasons for each setting are in docs/explanation/celery.md.
    """
    url = settings.broker_url.get_secret_value()
    redis = url.startswith("redis")
    app = Celery("helixnet", broker=url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,
        task_track_started=False,
        task_send_sent_event=False,
        task_serializer="json",
        accept_content=["json"],
        task_create_missing_queues=False,
        task_queues=[ring_queue(name, redis=redis) for name in settings.queue_names],
        task_default_queue=broker_queue(settings.queue_names[0]),
        worker_send_task_events=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=True,
        broker_connection_timeout=2,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=10,
        broker_transport_options=_redis_options() if redis else _rabbitmq_options(),
        beat_scheduler="helixnet.worker.beat:Housekeeping",
        beat_max_loop_interval=settings.housekeeping_seconds,
        beat_cron_starting_deadline=None,
    )
    return app


def _redis_options() -> dict[str, Any]:
    # Rings are few and small: losing them costs a second, hanging on a dead socket would cost the worker.
    return {"socket_timeout": 5, "socket_connect_timeout": 2, "socket_keepalive": True, "health_check_interval": 10}


def _rabbitmq_options() -> dict[str, Any]:
    # Without confirms a frozen RabbitMQ "accepts" every message into the socket's buffer.
    return {"confirm_publish": True, "max_retries": 0, "confirm_timeout": 2, "read_timeout": 15, "write_timeout": 5}


def broker_queue(queue: str) -> str:
    """The broker's name for the rings of a queue."""
    return f"helixnet.{queue}"


def ring_queue(queue: str, *, redis: bool) -> Queue:
    """The broker's queue for the rings of a queue; whoever rings first declares it."""
    name = broker_queue(queue)
    arguments = None if redis else {"x-queue-type": "quorum"}
    return Queue(name, Exchange("helixnet", type="direct"), routing_key=name, queue_arguments=arguments)


class Ringer:
    """Sends rings from at most `threads` threads; one that already waits for a queue stands for all that follow."""

    def __init__(self, app: Celery, threads: int = 4) -> None:
        self._app = app
        self._redis = str(app.conf.broker_url).startswith("redis")
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
                queue=ring_queue(queue, redis=self._redis),
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
