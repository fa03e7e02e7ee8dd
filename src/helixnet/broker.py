"""The doorbell: Celery as HelixNet uses it, and the rings that say "there is work in this queue".

A ring carries no job. It may be lost, doubled or late at no harm: a lost one is replaced by beat's sweep, a spare one
finds no work.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from helixnet import log, tracing
from helixnet.config import Settings
from helixnet.metrics import catalog

TASK = "helixnet.work"
PREFIX = "helixnet."
# The broker took it, was asked in vain, or has so many already that one more says nothing.
RING_OUTCOMES = ("taken", "failed", "left_out")
EXPIRES_SECONDS = 10
CONFIRM_SECONDS = 2
ANSWER_SECONDS = 3
# So many rings wait in a queue at most where the broker itself throws none away, as Redis and Valkey.
MOST_WAITING = 1000
# A worker notices within two or three of these that its connection to the broker is dead.
HEARTBEAT_SECONDS = 5
# While the broker is away, a worker tries again after a pause that grows. (Celery's own grows to half a minute, which
# would be lost once the broker is back.)
RECONNECT = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 3}
COMPLAIN_EVERY_SECONDS = 30
# Rings for one queue that follow each other faster become one: the first woke a worker process, which wakes others
# itself as long as there is work.
GAP_SECONDS = 0.02

logger = log.logger("helix.ring")


class _PromptConnection(Connection):
    """A connection for which a worker tries again soon."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        return super().ensure_connection(*args, **RECONNECT | options)  # type: ignore[no-untyped-call]


class _Broker(AMQP):  # type: ignore[misc] # Celery carries no types
    Connection = _PromptConnection


def create_app(settings: Settings) -> Celery:
    """Celery as a doorbell: no results, events for Flower alone, early acknowledgement, and no wait without an end.

    The reasons for each setting are in docs/explanation/celery.md.
    """
    url = settings.broker_url.get_secret_value()
    redis = _is_redis(url)
    arguments: dict[str, str] = {} if redis else {"x-queue-type": settings.rabbitmq_queue_type}
    app = Celery("helixnet", broker=url, amqp=_Broker, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,
        task_track_started=False,
        task_send_sent_event=settings.task_events,
        task_serializer="json",
        accept_content=["json"],
        task_create_missing_queues=False,
        task_queues=[ring_queue(name, arguments) for name in settings.queue_names],
        task_default_delivery_mode="transient",
        task_default_queue=broker_queue(settings.queue_names[0]),
        worker_send_task_events=settings.task_events,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # those that acknowledge late: none of ours
        worker_enable_remote_control=True,
        # The queue for remote control is a worker's own: RabbitMQ would refuse it to the worker's second connection for
        # as long as it holds the first, which is dead, for alive; and that refusal would end the worker with its jobs.
        control_queue_exclusive=False,
        control_queue_durable=True,
        broker_channel_error_retry=True,
        broker_connection_timeout=2,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=HEARTBEAT_SECONDS,
        broker_transport_options=_redis_options() if redis else _rabbitmq_options(),
        beat_scheduler="helixnet.worker.beat:Housekeeping",
        beat_max_loop_interval=settings.housekeeping_seconds,
        beat_cron_starting_deadline=None,
    )
    return app


def _is_redis(url: str) -> bool:
    return url.startswith("redis")


def _redis_options() -> dict[str, Any]:
    # Rings are few and small: losing them costs a second, hanging on a dead socket would cost the worker.
    # A worker waits for `polling_interval` at a time, and after `health_check_interval` more it takes a connection that
    # does not answer for dead.
    return {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "polling_interval": HEARTBEAT_SECONDS,
        "health_check_interval": HEARTBEAT_SECONDS,
    }


def _rabbitmq_options() -> dict[str, Any]:
    # Without confirms a frozen RabbitMQ "accepts" every message into the socket's buffer.
    return {"confirm_publish": True, "max_retries": 0, "confirm_timeout": 2, "read_timeout": 5, "write_timeout": 5}


def answers(settings: Settings) -> bool:
    """Whether the broker takes a connection within a few seconds."""
    try:
        with create_app(settings).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=ANSWER_SECONDS)
    except Exception:  # noqa: BLE001 - whatever the broker's client raises, it did not answer
        return False
    return True


def broker_queue(queue: str) -> str:
    """The broker's name for the rings of a queue."""
    return f"{PREFIX}{queue}"


def ring_queue(queue: str, arguments: dict[str, str]) -> Queue:
    """The broker's queue for the rings of a queue; whoever rings first declares it."""
    name = broker_queue(queue)
    return Queue(name, Exchange("helixnet", type="direct"), routing_key=name, queue_arguments=arguments)


class Ringer:
    """Sends rings from at most `threads` threads; one that already waits for a queue stands for all that follow."""

    def __init__(self, app: Celery, threads: int = 4) -> None:
        self._app = app
        self._arguments = app.conf.task_queues[0].queue_arguments
        self._keeps_old_rings = _is_redis(app.conf.broker_url)
        self._senders = ThreadPoolExecutor(threads, thread_name_prefix="ring")
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._rung_at: dict[str, float] = {}
        self._quiet_until = 0.0
        for known in app.conf.task_queues:
            for outcome in RING_OUTCOMES:
                catalog.RINGS_SENT.add(0, known.name.removeprefix(PREFIX), outcome)

    def ring(self, queue: str) -> "Future[bool] | None":
        """Say that there is work in a queue; returns at once. The answer, if any, tells whether the broker took it."""
        with self._lock:
            if queue in self._waiting:
                return None
            self._waiting.add(queue)
        return self._senders.submit(self._send, queue, tracing.carried())

    def _send(self, queue: str, parent: Context | None) -> bool:
        if parent is None:
            return self._deliver(queue, {})
        with tracing.span("ring", parent, SpanKind.PRODUCER, queue=queue) as span:
            taken = self._deliver(queue, tracing.headers())
            if not taken:
                tracing.fail(span, "the broker did not take it")
            return taken

    def _deliver(self, queue: str, headers: dict[str, str]) -> bool:
        time.sleep(max(0.0, self._rung_at.get(queue, 0.0) + GAP_SECONDS - time.monotonic()))
        with self._lock:
            self._waiting.discard(queue)  # before the message leaves: work that comes now gets a ring of its own
            self._rung_at[queue] = time.monotonic()
        try:
            with self._app.producer_pool.acquire(block=True) as producer:
                outcome = "taken" if self._send_by(producer, queue, headers) else "left_out"
        except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the sweep rings again
            catalog.RINGS_SENT.add(1, queue, "failed")
            self._complain(queue, error)
            return False
        catalog.RINGS_SENT.add(1, queue, outcome)
        return True

    def _send_by(self, producer: Producer, queue: str, headers: dict[str, str]) -> bool:
        """Whether the ring was given to the broker; False when too many wait there already."""
        try:
            if self._keeps_old_rings and producer.channel.client.llen(broker_queue(queue)) >= MOST_WAITING:
                return False  # nobody listens, and the broker's memory isn't for that
            self._app.send_task(
                TASK,
                args=(queue,),
                headers=headers,
                queue=ring_queue(queue, self._arguments),
                expires=EXPIRES_SECONDS,
                ignore_result=True,
                retry=False,
                confirm_timeout=CONFIRM_SECONDS,
                producer=producer,
            )
        except Exception:
            # The next ring gets a new connection. This one is dropped without a goodbye, for which kombu would wait as
            # often as the broker does not answer.
            producer.connection.collect()
            raise
        return True

    def _complain(self, queue: str, error: Exception) -> None:
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + COMPLAIN_EVERY_SECONDS
            logger.warning("the broker did not take a ring; the sweep rings again", queue=queue, error=repr(error))

    def close(self) -> None:
        """Give the rings on their way a moment, and stop."""
        self._senders.shutdown(wait=True, cancel_futures=True)
