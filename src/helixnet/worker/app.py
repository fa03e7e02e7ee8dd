"""The Celery application, and the two processes that run it: `run_worker` and `run_beat`."""

import mmap
import os
import socket
import warnings
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning
from kombu.entity import Exchange, Queue

from helixnet import log
from helixnet.config import Settings
from helixnet.processors import registry
from helixnet.worker.process import WorkerProcess
from helixnet.worker.ring import TASK, Ringer, broker_queue

GIVE_UP_RINGING_AFTER_SECONDS = 10

logger = log.logger("helix.worker")


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
        task_queues=[_queue(name, redis=redis) for name in settings.queue_names],
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


def _queue(name: str, *, redis: bool) -> Queue:
    arguments = None if redis else {"x-queue-type": "quorum"}
    return Queue(
        broker_queue(name),
        Exchange("helixnet", type="direct"),
        routing_key=broker_queue(name),
        queue_arguments=arguments,
    )


def _redis_options() -> dict[str, Any]:
    # Rings are few and small: losing them costs a second, hanging on a dead socket would cost the worker.
    return {"socket_timeout": 5, "socket_connect_timeout": 2, "socket_keepalive": True, "health_check_interval": 10}


def _rabbitmq_options() -> dict[str, Any]:
    # Without confirms a frozen RabbitMQ "accepts" every message into the socket's buffer.
    return {"confirm_publish": True, "max_retries": 0, "confirm_timeout": 2, "read_timeout": 15, "write_timeout": 5}


def run_worker(settings: Settings, concurrency: int) -> None:
    """Serve the settings' queues with `concurrency` child processes until SIGTERM; exits the process at the end."""
    settings.require("database_url", "broker_url", "storage_url")
    log.configure(settings)
    # Celery warns root of pickled messages; ours are JSON and carry nothing but the name of a queue.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = create_app(settings)
    processors = registry.load(development=settings.development)
    # One byte, shared with the children that are forked later: not zero means "stop claiming".
    stopping = mmap.mmap(-1, 1)
    child: list[WorkerProcess] = []

    @app.task(name=TASK, ignore_result=True)  # type: ignore[untyped-decorator]
    def work(queue: str) -> None:
        child[0].answer(queue)

    def start_child(**_signal: Any) -> None:
        try:
            child.append(WorkerProcess(settings, processors, Ringer(app, threads=1), lambda: stopping[0] != 0))
            child[0].start()
        except Exception:
            # Celery would go on with a child that can do nothing; without one it starts another.
            logger.exception("a worker process could not start")
            os._exit(os.EX_TEMPFAIL)

    def stop_child(**_signal: Any) -> None:
        child[0].stop()

    def stop_claiming(**_signal: Any) -> None:
        stopping[0] = 1

    signals.setup_logging.connect(_keep_our_logging, weak=False)
    signals.worker_process_init.connect(start_child, weak=False)
    signals.worker_process_shutdown.connect(stop_child, weak=False)
    signals.worker_shutting_down.connect(stop_claiming, weak=False)
    worker = app.Worker(
        hostname=f"helix@{socket.gethostname()}",
        pool="prefork",
        concurrency=concurrency,
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    raise SystemExit(worker.exitcode or 0)


def run_beat(settings: Settings) -> None:
    """Do the housekeeping until SIGTERM. Any number may run: an advisory lock lets one at a time do it."""
    settings.require("database_url", "broker_url", "storage_url")
    log.configure(settings)
    app = create_app(settings)
    app.helix_settings = settings
    signals.setup_logging.connect(_keep_our_logging, weak=False)
    app.Beat(max_interval=settings.housekeeping_seconds, quiet=True, socket_timeout=None).run()


def _keep_our_logging(**_signal: Any) -> None:
    """Celery leaves the logging alone when somebody listens to this signal."""
