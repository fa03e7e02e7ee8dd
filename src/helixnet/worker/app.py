"""The two processes that do the work: `run_worker` and `run_beat`, both Celery's own."""

import mmap
import os
import socket
import warnings
from typing import Any, ClassVar

from billiard.pool import EX_RECYCLE
from billiard.util import get_logger as get_pool_logger
from celery import signals
from celery.apps import worker as celery_worker
from celery.exceptions import SecurityWarning
from celery.worker.consumer import Consumer

from helixnet import log, metrics, tracing
from helixnet.broker import TASK, Ringer, create_app
from helixnet.config import Settings
from helixnet.processors import registry
from helixnet.worker.isolation import walls
from helixnet.worker.process import WorkerProcess

logger = log.logger("helix.worker")


class RingConsumer(Consumer):  # type: ignore[misc] # Celery carries no types
    """Celery's consumer, without the step that makes 28 queues and 28 exchanges in RabbitMQ for tasks with an ETA."""

    # The first start counts as another one: at its first, Celery would end the worker if a child had died while it
    # waited for the broker. The pool replaces such a child.
    restart_count = 0

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        default_steps: ClassVar[list[str]] = [
            step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        ]


def run_worker(settings: Settings, concurrency: int) -> None:
    """Serve the settings' queues with `concurrency` child processes until SIGTERM; exits the process at the end."""
    settings.require("database_url", "broker_url", "storage_url")
    log.configure(settings)
    # Celery warns root of pickled messages; ours are JSON and carry nothing but the name of a queue.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = create_app(settings)
    processors = registry.load(development=settings.development)
    walls.tell_missing(processors)
    exporter = metrics.serve_or_say(settings)
    # One byte, shared with the children that are forked later: not zero means "stop claiming".
    stopping = mmap.mmap(-1, 1)
    child: list[WorkerProcess] = []

    @app.task(name=TASK, ignore_result=True, bind=True)  # type: ignore[untyped-decorator]
    def work(task: Any, queue: str) -> None:
        child[0].answer(queue, tracing.from_headers(task.request.headers or {}) if tracing.on else None)
        if child[0].is_worn_out():
            raise SystemExit(EX_RECYCLE)  # the pool replaces a process that leaves so, and asks no questions

    def start_child(**_signal: Any) -> None:
        try:
            if exporter is not None:
                exporter.forget()
            metrics.join_after_fork()
            tracing.configure("worker")
            child.append(WorkerProcess(settings, processors, Ringer(app, threads=1), lambda: stopping[0] != 0))
            child[0].start()
        except Exception:
            # Celery would go on with a child that can do nothing; without one it starts another.
            logger.exception("a worker process could not start")
            os._exit(os.EX_TEMPFAIL)

    def stop_child(**_signal: Any) -> None:
        child[0].stop()
        tracing.close()

    def stop_claiming(**_signal: Any) -> None:
        stopping[0] = 1

    signals.setup_logging.connect(_keep_our_logging, weak=False)
    # What Celery says from within a signal, past all logging.
    celery_worker.safe_say = lambda words, _file=None: log.say("celery.apps.worker", words.strip())
    signals.worker_process_init.connect(start_child, weak=False)
    signals.worker_process_shutdown.connect(stop_child, weak=False)
    signals.worker_shutting_down.connect(stop_claiming, weak=False)
    worker = app.Worker(
        hostname=f"helix-{os.getpid()}@{socket.gethostname()}",
        consumer_cls=RingConsumer,
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
    metrics.serve_or_say(settings)
    app = create_app(settings)
    app.helix_settings = settings
    signals.setup_logging.connect(_keep_our_logging, weak=False)
    app.Beat(max_interval=settings.housekeeping_seconds, quiet=True, socket_timeout=None).run()


def _keep_our_logging(**_signal: Any) -> None:
    """Celery leaves the logging alone when somebody listens to this signal."""
    # Of a process that died the pool tells in a log that leads nowhere.
    get_pool_logger().propagate = True
