"""What is told of each operation on the object store: how often, how long, how it ended, how many bytes."""

import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from helixnet import tracing
from helixnet.errors import NotFound, TooLarge
from helixnet.metrics import catalog

OPERATIONS = ("put", "get", "head", "stream", "delete", "list", "check")


def begin() -> None:
    """Begin to count at zero: what first appears with its first error would not be seen to have grown."""
    for name in OPERATIONS:
        catalog.STORAGE_OPERATIONS.add(0, name, "error")
    read(0)
    written(0)


@contextmanager
def operation(name: str, key: str = "") -> Iterator[None]:
    """An operation, for as long as the block lasts."""
    begun = time.perf_counter()
    span = tracing.begin(f"storage {name}", **{"storage.key": key})
    outcome = "error"
    try:
        yield
        outcome = "ok"
    except NotFound:
        outcome = "not_found"
        raise
    except TooLarge:
        outcome = "too_large"
        raise
    except (CancelledError, GeneratorExit):
        outcome = "broken_off"
        raise
    finally:
        catalog.STORAGE_SECONDS.observe(time.perf_counter() - begun, name)
        catalog.STORAGE_OPERATIONS.add(1, name, outcome)
        if span is not None:
            if outcome != "ok":
                tracing.fail(span, outcome)
            span.end()


def read(count: int) -> None:
    """So many bytes came from the store."""
    catalog.STORAGE_BYTES.add(count, "read")


def written(count: int) -> None:
    """So many bytes went to the store."""
    catalog.STORAGE_BYTES.add(count, "written")
