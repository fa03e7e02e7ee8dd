"""Metrics: what a process counts, and how one address of a service tells the sums of all its processes.

`catalog` names every metric, `kinds` counts, `values` holds the numbers, `exporter` serves them.
"""

from helixnet.metrics import catalog
from helixnet.metrics.exporter import Exporter, close, serve_or_say
from helixnet.metrics.values import join, join_after_fork

__all__ = ["Exporter", "catalog", "close", "join", "join_after_fork", "serve_or_say"]
