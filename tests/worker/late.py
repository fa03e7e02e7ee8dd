"""An ordinary Celery application, whose task acknowledges when it is done: what HelixNet is compared with.

Run by `celery -A tests.worker.late worker`, with the broker's address in BROKER.
"""

import os
import time
from pathlib import Path

from celery import Celery

app = Celery("late", broker=os.environ.get("BROKER", ""), set_as_current=False)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="late",
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_channel_error_retry=True,
    broker_connection_retry_on_startup=True,
)
if app.conf.broker_url.startswith("redis"):
    # This sweeps what any worker has not acknowledged on this server, ours too.
    app.conf.broker_transport_options = {
        "visibility_timeout": 2,
        "unacked_restore_interval": 0.5,
        "unacked_restore_throttle": 1,
    }


@app.task(name="late.sleep")  # type: ignore[untyped-decorator]
def sleep(diary: str, seconds: float) -> None:
    """Sleep, and write into a file that it has begun to."""
    with Path(diary).open("a") as file:
        file.write("began\n")
    time.sleep(seconds)
