"""Flower, Celery's own monitor, on our application: it shows the workers and the rings (jobs are in the dashboard)."""

import importlib.util
import os

from helixnet import log
from helixnet.broker import create_app
from helixnet.config import Settings
from helixnet.errors import CannotStart


def run_flower(settings: Settings, host: str, port: int) -> None:
    """Serve Flower until SIGTERM. Raises CannotStart where it isn't installed, or nobody would have to sign in."""
    settings.require("broker_url")
    if importlib.util.find_spec("flower") is None:
        raise CannotStart("Flower is not installed: pip install 'helixnet[flower]'")
    if not os.environ.get("FLOWER_BASIC_AUTH"):
        raise CannotStart("Flower can shut workers down: set FLOWER_BASIC_AUTH=user:password, which it asks for")
    log.configure(settings)
    create_app(settings).start(["flower", f"--address={host}", f"--port={port}", "--task_runtime_metric_buckets=1,5"])
