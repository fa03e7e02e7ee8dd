"""Processors that run isolated, for the tests; as a program, a worker that runs one and prints what it logs."""

import asyncio
import contextlib
import hashlib
import importlib
import os
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
from pydantic import BaseModel, Field

from helixnet.errors import TooLarge
from helixnet.processors import (
    BlockingContext,
    Input,
    InputRole,
    JobContext,
    OverLimit,
    ProcessLimits,
    Processor,
    Reject,
    Retry,
)
from helixnet.processors.core import SpawnParams
from helixnet.processors.registry import load
from helixnet.worker.isolation.run import Isolation

MEBIBYTE = 1024 * 1024


class Params(BaseModel):
    how: str = ""
    number: int = Field(default=0, alias="n")


async def look(context: JobContext, params: Params) -> dict[str, Any]:
    """What an isolated process finds around it."""
    descriptors = []
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            found = os.fstat(descriptor)
            null = stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
            descriptors.append("null" if null else stat.filemode(found.st_mode)[0])
    return {
        "environment": dict(os.environ),
        "started_with": Path("/proc/self/environ").read_bytes().decode(),
        "folder": os.getcwd(),
        "descriptors": descriptors,
        "leads_its_session": os.getsid(0) == os.getpid(),
        "params": [params.how, params.number],
        "job": [str(context.job_id), context.attempt],
    }


async def digest(context: JobContext, params: Params) -> dict[str, Any]:
    """Read the input in pieces, or whole with `how="read"`."""
    source = context.inputs["content_key"]
    if params.how == "read":
        content = await source.read(params.number)
        return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    size, sha256 = 0, hashlib.sha256()
    async for piece in source.stream():
        size += len(piece)
        sha256.update(piece)
    return {"size": size, "sha256": sha256.hexdigest(), "peak": peak_memory()}


async def write(context: JobContext, params: Params) -> list[str]:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(params.number):
            yield bytes([number % 256]) * MEBIBYTE * 2
        if params.how == "break":
            raise RuntimeError("the source broke")

    await context.progress(0.5, "half\x00 of it")
    await context.log("writing", pieces=params.number)
    return [
        await context.write("small.txt", b"small", "text/plain"),
        await context.write("large.bin", pieces()),
    ]


def plain(context: BlockingContext, params: Params) -> dict[str, Any]:
    """No coroutine: its calls wait."""
    source = context.inputs["content_key"]
    context.progress(1, "all")
    context.log("read", name=source.filename)
    key = context.write("copy", (piece for piece in source.stream()))
    return {"key": key, "content": source.read(1000).decode()}


def files(context: BlockingContext, params: Params) -> dict[str, Any]:
    """Work with files, and show what comes."""
    path = context.inputs["content_key"].path()
    content = path.read_text()
    context.output("as it ")
    context.output("comes")
    kept = context.scratch / "upper"
    kept.write_text(content.upper())
    context.write("kept.txt", kept, "text/plain")
    return {"path": str(path), "content": content}


async def loaded(_context: JobContext, _params: Params) -> list[bool]:
    """Whether a module that nobody has asked for yet is imported, before and after."""
    before = "pyclbr" in sys.modules
    importlib.import_module("pyclbr")
    return [before, "pyclbr" in sys.modules]


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


async def end(context: JobContext, params: Params) -> object:
    """End in the way that it is asked for."""
    match params.how:
        case "reject":
            raise Reject("Not this one.", line=3)
        case "retry":
            raise Retry("Not now.", timedelta(seconds=90))
        case "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(context.write("../up", b"x"))
                raise OverLimit("Meant for the job.")
        case "mute":
            raise Mute
        case "too large":
            raise TooLarge("Over the limit.", limit=7)
        case "error":
            orjson.loads(b"{")
        case "not json":
            return object()
        case "exit":
            os._exit(3)
        case "memory":
            return len(bytearray(1024 * MEBIBYTE))
        case "cpu":
            while True:
                pass
        case "file":
            with Path("large").open("wb") as file:
                file.write(bytes(2 * MEBIBYTE))
        case "files":
            return [os.dup(0) for _ in range(1000)]
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill the keeper":
            os.kill(os.getppid(), signal.SIGKILL)
        case "bad name":
            await context.write("../up", b"x")
        case "fork":
            if os.fork() == 0:  # holds the socket open, and says nothing
                time.sleep(300)
            os._exit(4)
    time.sleep(300)
    return None


async def garbage(_context: JobContext, params: Params) -> None:
    """Send the worker what it should not believe."""
    head = orjson.dumps({"id": 99, "do": "log", "message": "m", "fields": {}})
    messages = {
        "noise": os.urandom(4096),
        "long header": struct.pack(">II", 2**31, 0),
        "long body": struct.pack(">II", len(head), 2**31) + head,
        "no json": struct.pack(">II", 3, 0) + b"{{{",
        "no object": struct.pack(">II", 2, 0) + b"[]",
        "no such request": message({"id": 1, "do": "shutdown"}),
        "no number": message({"do": "progress", "fraction": 1, "message": ""}),
        "wrong types": message({"id": 1, "do": "progress", "fraction": "1", "message": []}),
        "no such end": message({"end": "well"}),
        "wrong end": message({"end": "retry", "reason": "r", "after": "soon"}),
        "false failure": message({"end": "platform", "request": 5}),
        "no result": message({"end": "result"}, b"{"),
    }
    with socket.socket(fileno=_connection()) as connection:
        connection.setblocking(True)
        connection.sendall(messages[params.how])
        time.sleep(300)


def message(header: dict[str, Any], body: bytes = b"") -> bytes:
    head = orjson.dumps(header)
    return struct.pack(">II", len(head), len(body)) + head + body


def _connection() -> int:
    """The descriptor of the socket that leads to the worker: the event loop has two of its own."""
    loop: Any = asyncio.get_running_loop()
    own = {loop._ssock.fileno(), loop._csock.fileno()}
    for descriptor in range(3, 256):
        with contextlib.suppress(OSError):
            if descriptor not in own and stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
    raise LookupError("no socket")


def peak_memory() -> int:
    """The most memory that this process had in use, in bytes, since it began or forgot about it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("the kernel does not tell")


def isolated(run: Any, **more: Any) -> Processor:
    return Processor(
        name=f"tests.{run.__name__}",
        version="1",
        description="For tests.",
        run=run,
        params=Params,
        inputs={"content_key": InputRole("Something to read.", required=False)},
        isolation="process",
        **more,
    )


LOOK, DIGEST, WRITE, PLAIN, FILES, GARBAGE = (isolated(run) for run in (look, digest, write, plain, files, garbage))
PRELOADED = isolated(loaded, preload=("pyclbr",))
END = isolated(
    end,
    limits=ProcessLimits(memory_bytes=512 * MEBIBYTE, cpu_seconds=1, file_bytes=MEBIBYTE, open_files=64, processes=2),
)


class PrintingContext:
    """A context that prints the log, and has nothing else."""

    def __init__(self) -> None:
        self.job_id: UUID = uuid4()
        self.attempt = 1
        self.inputs: Mapping[str, Input] = {}
        self.cancelled = False
        self.idempotency_key = ""
        self.scratch = Path()

    async def progress(self, fraction: float, message: str = "") -> None:
        raise NotImplementedError

    async def log(self, message: str, **fields: object) -> None:
        print(fields["pids"], flush=True)

    async def output(self, text: str) -> None:
        raise NotImplementedError

    async def write(self, name: str, content: object, media_type: str = "") -> str:
        raise NotImplementedError


def main() -> None:
    spawn = load(development=True).get("core.spawn")
    asyncio.run(Isolation().run(spawn, PrintingContext(), SpawnParams(seconds=300)))


if __name__ == "__main__":
    main()
