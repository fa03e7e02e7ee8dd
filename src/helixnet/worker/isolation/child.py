"""The isolated process: it runs one attempt of a processor, and speaks with the worker over a socket."""

import asyncio
import errno
import faulthandler
import inspect
import os
import socket
import tempfile
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
from pydantic import BaseModel

from helixnet.errors import HelixError
from helixnet.processors.base import ProcessLimits, Processor, Reject, Retry
from helixnet.worker.blocking import Blocking
from helixnet.worker.isolation import frames, system, walls
from helixnet.worker.isolation.errors import OUT_OF_MEMORY
from helixnet.worker.isolation.frames import Header
from helixnet.worker.isolation.origin import Origin
from helixnet.worker.isolation.proxy import Platform, PlatformFailed, RemoteContext

LONGEST_MESSAGE, LONGEST_TRACE = 4000, 16_000
LONGEST_START = 2**31
# What a processor runs into, by the number of the system's error.
LIMITS = {errno.EFBIG: "file", errno.EMFILE: "files", errno.ENOMEM: "memory"}


def main(data: int, scratch: str, keeper: socket.socket) -> None:
    """Run the attempt that the worker describes over the descriptor `data`; ends with the process. It hands the
    listener of its walls over to its keeper."""
    faulthandler.enable(2)  # the keeper hears of it
    os.chdir(scratch)
    os.umask(0o077)
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None
    try:
        asyncio.run(_talk(socket.socket(fileno=data), scratch, keeper))
    except ConnectionError:
        os._exit(os.EX_IOERR)  # the worker is gone


async def _talk(connection: socket.socket, scratch: str, keeper: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    message = await frames.receive(reader, LONGEST_START)
    if message is None:
        return
    started, params = message
    limits = ProcessLimits(**started["limits"])
    system.apply(limits)
    # From here on nothing is trusted. A processor that could not be imported ahead is imported behind the walls.
    inputs = [about["stands_at"] for about in started["inputs"].values() if about["stands_at"] is not None]
    listener = walls.put_up(limits, scratch, inputs)
    if listener is not None:
        socket.send_fds(keeper, [b"."], [listener])
        os.close(listener)
    keeper.close()
    end, body = await _outcome(Platform(reader, writer), Origin(**started["origin"]), started, params)
    await frames.send(writer, end, body)
    writer.close()
    await writer.wait_closed()
    os._exit(os.EX_OK)  # all is said: what still runs in threads is not waited for


async def _outcome(platform: Platform, origin: Origin, started: Header, params: bytes) -> tuple[Header, bytes]:
    """What the attempt ends with, as a message."""
    package = origin.value
    try:
        processor = origin.load()
        package = getattr(processor.run, "__module__", None) or package
        result = await _call(processor, RemoteContext(platform, started, Path.cwd()), params)
        body = orjson.dumps(result.model_dump(mode="json") if isinstance(result, BaseModel) else result)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the worker is to hear of it
        return _raised(_meant(error), package), b""
    if len(body) > frames.RESULT_BYTES:
        return {"end": "too large", "size": len(body)}, b""
    return {"end": "result"}, body


def _meant(error: BaseException) -> BaseException:
    """The error that counts in a group: what rejects or asks for a retry means the whole job; else the first."""
    leaves, groups = list[BaseException](), [error]
    while groups:
        each = groups.pop()
        if isinstance(each, BaseExceptionGroup):
            groups += reversed(each.exceptions)
        else:
            leaves.append(each)
    return next((leaf for leaf in leaves if isinstance(leaf, Reject | Retry)), leaves[0])


def _raised(error: BaseException, package: str) -> Header:
    match error:
        case Reject():
            return _fitting({"end": "reject", "kind": error.kind, "reason": _words(error.reason)}, error.details)
        case Retry():
            after = None if error.after is None else error.after.total_seconds()
            return {"end": "retry", "reason": _words(error.reason), "after": after}
        case PlatformFailed():
            return {"end": "platform", "request": error.request}
        case HelixError():
            return _fitting({"end": "refused", "code": error.code, "message": _words(error.message)}, error.fields)
    return _failed(error, package)


async def _call(processor: Processor, context: RemoteContext, params: bytes) -> object:
    parsed = processor.params.model_validate_json(params)
    if inspect.iscoroutinefunction(processor.run):
        return await processor.run(context, parsed)
    return await asyncio.to_thread(processor.run, Blocking(context, asyncio.get_running_loop()), parsed)


def _failed(error: BaseException, package: str) -> Header:
    return {
        "end": "error",
        "type": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
        "message": _words(error),
        "place": _place(error.__traceback__, package.partition(".")[0].partition(":")[0]),
        "trace": "".join(traceback.format_exception(error))[-LONGEST_TRACE:].encode(errors="replace").decode(),
        "limit": _limit(error),
    }


def _limit(error: BaseException) -> str | None:
    """Which of its limits the process ran into, if that is what the exception says."""
    if isinstance(error, BlockingIOError):
        return "processes"  # what the walls answer to who wants to start one
    if isinstance(error, OSError):
        return LIMITS.get(error.errno or 0)
    words = _words(error)
    # Native libraries have exceptions of their own for it, and what they quote. A thread wants memory for its stack.
    native = "OutOfMemory" in type(error).__name__ or any(sign in words for sign in OUT_OF_MEMORY)
    return "memory" if isinstance(error, MemoryError) or native else None


def _place(trace: TracebackType | None, package: str) -> str:
    """`module:function` of the innermost call in the processor's own package; of the innermost at all without one."""
    place = own = ""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "?")
        place = f"{module}:{trace.tb_frame.f_code.co_qualname}"
        if module.partition(".")[0] == package and not module.startswith(__package__ or "-"):
            own = place
        trace = trace.tb_next
    return (own or place)[:500]


def _fitting(header: Header, more: dict[str, Any]) -> Header:
    """The header with further facts as strings and numbers, unless they are too many."""
    try:
        facts = orjson.loads(orjson.dumps(more, default=str, option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError):
        return header
    whole = header | {"fields": facts}
    return whole if len(orjson.dumps(whole)) <= frames.HEADER_BYTES else header


def _words(error: object) -> str:
    """What an error says; an exception of somebody else's may fail to say anything."""
    try:
        return str(error)[:LONGEST_MESSAGE].encode(errors="replace").decode()
    except Exception:  # noqa: BLE001 - its type and place are told all the same
        return ""
