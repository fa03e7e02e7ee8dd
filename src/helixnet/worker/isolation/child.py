"""The isolated process: it runs one attempt of a processor, and speaks with the worker over a socket."""

import asyncio
import errno
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
from helixnet.worker.isolation import frames, system
from helixnet.worker.isolation.frames import Header
from helixnet.worker.isolation.origin import Origin
from helixnet.worker.isolation.proxy import Platform, PlatformFailed, RemoteContext

LONGEST_MESSAGE, LONGEST_TRACE = 4000, 16_000
LONGEST_START = 2**31
LIMITS = {errno.EFBIG: "file", errno.EMFILE: "files"}


def main(data: int, origin: Origin, scratch: str, limits: ProcessLimits) -> None:
    """Run the attempt that the worker describes over the descriptor `data`; ends with the process."""
    os.chdir(scratch)
    os.umask(0o077)
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None
    system.gain_nothing()
    system.apply(limits)
    try:
        asyncio.run(_talk(socket.socket(fileno=data), origin))
    except ConnectionError:
        os._exit(os.EX_IOERR)  # the worker is gone


async def _talk(connection: socket.socket, origin: Origin) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    started = await frames.receive(reader, LONGEST_START)
    if started is None:
        return
    platform = Platform(reader, writer)
    end, body = await _outcome(platform, origin, *started)
    await frames.send(writer, end, body)
    writer.close()
    await writer.wait_closed()


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
    if isinstance(error, MemoryError):
        return "memory"
    return LIMITS.get(error.errno or 0) if isinstance(error, OSError) else None


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
