"""Processors that take more than they may, for the tests."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from helixnet.processors import BlockingContext, ProcessLimits, Processor, RetryPolicy

MEBIBYTE = 1024 * 1024


class Greed(BaseModel):
    how: str = ""


def memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(16 * MEBIBYTE))


def threads() -> None:
    while True:
        threading.Thread(target=time.sleep, args=(300,), daemon=True).start()


def native() -> None:
    """End as a C++ library does whose exception nobody catches."""
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    os.abort()


def abort() -> None:
    """End as a library does that finds itself in a state that can't be."""
    os.write(2, b"x" * 100_000 + b"assertion failed: impossible\n")
    os.abort()


def crash() -> None:
    ctypes.string_at(0)


def spin() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(300)


def file() -> None:
    with Path("endless").open("wb") as written:
        while True:
            written.write(bytes(MEBIBYTE))


def files() -> None:
    kept = []
    while True:
        kept.append(os.dup(0))


def folder() -> None:
    """Fill the scratch folder with files none of which is too large."""
    number = 0
    while True:
        Path(f"part-{number}").write_bytes(bytes(MEBIBYTE // 2))
        number += 1


def fork() -> None:
    while True:
        os.fork()


GREEDS: dict[str, Callable[[], None]] = {
    deed.__name__: deed
    for deed in (memory, threads, native, abort, crash, spin, sleep, file, files, folder, fork)
}  # fmt: skip


def together(_context: BlockingContext, _params: Greed) -> None:
    """Start processes none of which holds too much memory."""
    program = (
        f"kept = bytearray({200 * MEBIBYTE}); kept[::4096] = b'x' * len(kept[::4096]); import time; time.sleep(300)"
    )
    children = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    for child in children:
        child.wait()


def take(_context: BlockingContext, params: Greed) -> str:
    """Take without end, or be content."""
    if params.how:
        GREEDS[params.how]()
    return "content"


GREEDY = Processor(
    name="tests.greedy",
    version="1",
    description="Takes without end.",
    run=take,
    params=Greed,
    isolation="process",
    limits=ProcessLimits(
        memory_bytes=1024 * MEBIBYTE, file_bytes=8 * MEBIBYTE, scratch_bytes=32 * MEBIBYTE, open_files=64
    ),
    retry=RetryPolicy(again_after_limit=False),
)
TOGETHER = Processor(
    name="tests.together",
    version="1",
    description="Takes without end, in three processes.",
    run=together,
    params=Greed,
    isolation="process",
    limits=ProcessLimits(memory_bytes=500 * MEBIBYTE, processes=3),
)
