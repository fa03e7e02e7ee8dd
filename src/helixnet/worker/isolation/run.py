"""One attempt in a process of its own, from its start to its outcome."""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import orjson
from pydantic import BaseModel

from helixnet.processors.base import OverLimit, Processor, Reject, Retry, UpstreamFailed
from helixnet.processors.context import JobContext
from helixnet.worker.isolation.errors import OVER, ProcessorFailed, death, over, refusal
from helixnet.worker.isolation.frames import BadMessage, Header
from helixnet.worker.isolation.launcher import Ending, Launcher, certainly
from helixnet.worker.isolation.origin import Origin, origin_of
from helixnet.worker.isolation.service import Service

LONGEST_MESSAGE, LONGEST_TRACE, LONGEST_PLACE = 4000, 16_000, 500
LONGEST_WAIT = timedelta(days=366)
REJECTIONS = {kind.kind: kind for kind in (Reject, OverLimit, UpstreamFailed)}


class Isolation:
    """Runs processors in processes of their own. Belongs to one event loop of a worker process."""

    def __init__(self) -> None:
        self._launcher = Launcher()

    def begin(self, processors: Iterable[Processor], queues: Iterable[str]) -> None:
        """Import the isolated ones of these queues ahead, where they will run, beside whatever is done meanwhile."""
        ahead = [_origin(each) for each in processors if each.isolation == "process" and each.queue in set(queues)]
        if ahead:
            self._launcher.begin(ahead)

    async def prepare(self, processor: Processor) -> None:
        """Import a processor ahead, and wait until that is done. Raises Unavailable."""
        await self._launcher.prepare(_origin(processor))

    async def run(self, processor: Processor, context: JobContext, params: BaseModel) -> object:
        """The result of the processor, as JSON has it.

        Raises what the processor raised if that is a Reject, a Retry or a HelixError, ProcessorFailed for anything
        else, and Unavailable when no process could be started. When it returns or raises, which it does at once when
        the task is cancelled, the process and all that it started are gone.
        """
        given = params.model_dump_json(by_alias=True, exclude_unset=True, round_trip=True).encode()
        origin = _origin(processor)
        work = {"origin": origin.as_json(), "limits": asdict(processor.limits)}
        child = await self._launcher.start(origin, processor.limits)
        service = None
        serving = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=child.data)
            service = Service(reader, writer, context)
            serving = asyncio.create_task(service.serve(work, given))
            await asyncio.wait((serving,))
        finally:
            ending = await certainly(self._launcher.end(child, is_ending=_has_hung_up(serving)))
            if service is None or serving is None:
                child.data.close()
            else:
                await certainly(_finish(service, serving))
        return _result(serving, ending)

    async def close(self) -> None:
        """End every process."""
        await self._launcher.close()


def _origin(processor: Processor) -> Origin:
    return origin_of(processor.name, getattr(processor.run, "__module__", ""))


def _has_hung_up(serving: "asyncio.Task[tuple[Header, bytes] | None] | None") -> bool:
    if serving is None or not serving.done() or serving.cancelled() or serving.exception() is not None:
        return False
    return serving.result() is None


async def _finish(service: Service, serving: "asyncio.Task[Any]") -> None:
    serving.cancel()
    await asyncio.wait((serving,))
    await service.close()


def _result(serving: "asyncio.Task[tuple[Header, bytes] | None]", ending: Ending) -> object:
    """The result that the process sent; raises what became of it otherwise."""
    try:
        end = serving.result()
        if end is None:
            raise _ended(ending)
        return _read(*end)
    except BadMessage as error:
        message = f"The process sent what it may not: {error}."
        raise ProcessorFailed(message, type_name="BadMessage") from error


def _ended(ending: Ending) -> ProcessorFailed:
    if ending.limit is not None:
        return over(ending.limit, "Killed")
    if ending.code is None:
        return ProcessorFailed("The process was lost.", type_name="Lost")
    return death(ending.code, ending.said)


def _read(end: Header, body: bytes) -> object:
    """The result, out of the message that says how the work ended; raises its other outcomes, and BadMessage."""
    match end:
        case {"end": "result"}:
            try:
                return orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise BadMessage("a result that is not JSON") from error
        case {"end": "reject", "kind": "input" | "limit" | "upstream" as kind, "reason": str(reason)}:
            rejected = REJECTIONS[kind](reason[:LONGEST_MESSAGE])
            rejected.details = _fields(end)
            raise rejected
        case {"end": "retry", "reason": str(reason), "after": None | int() | float() as after}:
            raise Retry(reason[:LONGEST_MESSAGE], None if after is None else _wait(after))
        case {"end": "refused", "code": str(kind), "message": str(message)}:
            raise refusal(kind, message[:LONGEST_MESSAGE], _fields(end))
        case {"end": "too large", "size": int(size)}:
            message = f"The result has {size} bytes, which is too large; write an artifact instead."
            raise ProcessorFailed(message, kind="limit", type_name="ResultTooLarge")
        case {"end": "error", "type": str(name), "message": str(message), "place": str(place), "trace": str(trace)}:
            name, place, trace = _plain(name)[:LONGEST_PLACE], _plain(place)[:LONGEST_PLACE], trace[-LONGEST_TRACE:]
            limit = end.get("limit")
            if isinstance(limit, str) and limit in OVER:
                raise over(limit, name, place, trace)
            raise ProcessorFailed(message[:LONGEST_MESSAGE], type_name=name, place=place, trace=trace)
    raise BadMessage("an end that there is not")


def _fields(end: Header) -> dict[str, Any]:
    fields = end.get("fields", {})
    if not isinstance(fields, dict):
        raise BadMessage("fields that are none")
    return fields


def _plain(text: str) -> str:
    return text.replace("\x00", "")


def _wait(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_WAIT.total_seconds()))
