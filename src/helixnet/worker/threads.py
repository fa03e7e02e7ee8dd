"""The threads of a worker process: where processors do what would hold up the event loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8


class Threads(ThreadPoolExecutor):
    """A pool of threads that knows whether one is still at work."""

    def __init__(self) -> None:
        super().__init__(THREADS, thread_name_prefix="job")
        self._running: set[Future[Any]] = set()

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        future = super().submit(call, *args, **kwargs)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    async def are_idle_within(self, seconds: float) -> bool:
        """Wait until no call runs; False when one goes on for longer, and would beside the next job."""
        end = time.monotonic() + seconds
        while self._running:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.02)
        return True
