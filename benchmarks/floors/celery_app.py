"""Floors (a) and (b): Celery as fast as it goes without a ledger, and with a hand-written row for each job.

Everything that costs and isn't needed is off: results, events, gossip, mingle, heartbeats, remote control; messages
are acknowledged early, and a child takes many at a time. docs/explanation/benchmarks.md tells how this was tuned.
"""

import os
from pathlib import Path
from typing import Any

import psycopg
from billiard import current_process
from celery import Celery, signals

from benchmarks.floors.counter import Counter
from benchmarks.floors.table import BEGIN, END

BROKER_URL = os.environ["BENCH_BROKER_URL"]
DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "")
QUEUE = os.environ["BENCH_QUEUE"]

app = Celery("floor", broker=BROKER_URL, set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_acks_late=False,
    task_track_started=False,
    task_send_sent_event=False,
    task_default_queue=QUEUE,
    task_default_delivery_mode="transient",
    task_always_eager=False,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_redirect_stdouts=False,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "64")),
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_heartbeat=0,
    broker_pool_limit=4,
    # With Redis, kombu keeps a copy of each message until it is acknowledged, which costs more than all else.
    broker_transport_options={"ack_emulation": False} if BROKER_URL.startswith("redis") else {},
)


class Child:
    """What a worker process keeps: its place in the counter, and its connection, with the statements prepared."""

    counter: Counter
    slot: int
    connection: psycopg.Connection[Any]


@signals.worker_process_init.connect
def open_child(**_signal: Any) -> None:
    Child.counter = Counter(Path(os.environ["BENCH_COUNTER"]))
    Child.slot = 1 + current_process().index
    if DATABASE_URL:
        # Each statement is a transaction of its own, without a word more on the wire; prepared at its first use.
        Child.connection = psycopg.connect(DATABASE_URL, autocommit=True, prepare_threshold=0)


@signals.worker_ready.connect
def tell_ready(**_signal: Any) -> None:
    Counter(Path(os.environ["BENCH_COUNTER"])).add(0)


@app.task(name="floor.noop", ignore_result=True)
def noop() -> None:
    """Floor (a): nothing, counted."""
    Child.counter.add(Child.slot)


@app.task(name="floor.recorded", ignore_result=True)
def recorded(job_id: int) -> None:
    """Floor (b): nothing, with its states written down: IN_PROGRESS before, COMPLETED after, each one durable."""
    execute = Child.connection.execute
    execute(BEGIN, (job_id,))
    execute(END, (job_id,))
