"""The worker's side of an isolated process: it answers what the process asks for, and trusts none of it."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

from helixnet.errors import HelixError
from helixnet.processors.base import Reject
from helixnet.processors.context import JobContext
from helixnet.worker.isolation import frames
from helixnet.worker.isolation.frames import PIECE_BYTES, REQUESTS_UNDER_WAY, BadMessage, Header

STREAMS = 64
LONGEST_NAME = 1000
LONGEST_MEDIA_TYPE = 255
ABANDON_SECONDS = 0.5


class Service:
    """Answers the requests of one attempt, out of its context."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: JobContext) -> None:
        self._reader = reader
        self._writer = writer
        self._context = context
        self._numbers = itertools.count(1)
        self._inputs: dict[int, _Source] = {}
        self._artifacts: dict[int, _Artifact] = {}
        self._failed: dict[int, Exception] = {}

    async def serve(self, work: Header, params: bytes) -> tuple[Header, bytes] | None:
        """Start the `work` (a processor's origin and limits), and answer its requests until it says how it ended;
        None when it ends without a word.

        Raises BadMessage, and the exception of a request which failed for a reason on this side and ended the work.
        """
        try:
            await frames.send(self._writer, work | self._start(), params)
            async with asyncio.TaskGroup() as requests:
                end = await self._answer_until_the_end(requests)
        except ConnectionError:
            return None
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        if end is not None and end[0]["end"] == "platform":
            request = end[0].get("request")
            failed = self._failed.get(request) if isinstance(request, int) else None
            raise failed or BadMessage("a failure of the platform that was none")
        return end

    async def close(self) -> None:
        """Leave nothing open; called once the process is gone."""
        for source in self._inputs.values():
            await source.close()
        for artifact in self._artifacts.values():
            await artifact.abandon()
        self._writer.close()

    def _start(self) -> Header:
        context = self._context
        return {
            "job_id": str(context.job_id),
            "attempt": context.attempt,
            "inputs": {
                role: {
                    "key": one.key,
                    "filename": one.filename,
                    "size": one.size,
                    "media_type": one.media_type,
                    "sha256": one.sha256,
                    "stands_at": None if (place := getattr(one, "stands_at", None)) is None else str(place),
                }
                for role, one in context.inputs.items()
            },
        }

    async def _answer_until_the_end(self, requests: asyncio.TaskGroup) -> tuple[Header, bytes] | None:
        room = asyncio.Semaphore(REQUESTS_UNDER_WAY)
        under_way = set[asyncio.Task[None]]()

        def answered(request: asyncio.Task[None]) -> None:
            under_way.discard(request)
            room.release()

        while True:
            await room.acquire()
            message = await frames.receive(self._reader, PIECE_BYTES)
            if message is None or "end" in message[0]:
                for request in under_way:
                    request.cancel()
                return message
            request = requests.create_task(self._respond(*message))
            under_way.add(request)
            request.add_done_callback(answered)

    async def _respond(self, header: Header, body: bytes) -> None:
        number = header.get("id")
        if not isinstance(number, int):
            raise BadMessage("a request without a number")
        answer: Header = {"id": number}
        content = b""
        try:
            more, content = await self._do(header, body)
            answer |= more
        except BadMessage:
            raise
        except Reject as error:
            answer["refused"] = {"kind": "reject", "message": error.reason}
        except ValueError as error:
            answer["refused"] = {"kind": "value", "message": str(error)}
        except HelixError as error:
            answer["refused"] = {"kind": error.code, "message": error.message}
        except Exception as error:  # noqa: BLE001 - it ends the attempt, by the way of the processor
            self._failed[number] = error
            answer["refused"] = {"kind": "platform", "message": type(error).__name__}
        with contextlib.suppress(ConnectionError):
            await frames.send(self._writer, answer, content)

    async def _do(self, header: Header, body: bytes) -> tuple[Header, bytes]:
        """Do what is asked for; answers the fields and the body of the answer."""
        match header:
            case {"do": "progress", "fraction": int() | float() as fraction, "message": str(message)}:
                await self._context.progress(fraction, message)
            case {"do": "log", "message": str(message), "fields": dict(fields)}:
                await self._log(message, fields)
            case {"do": "output", "text": str(text)}:
                await self._context.output(text)
            case {"do": "open", "role": str(role)}:
                return {"stream": self._open(role)}, b""
            case {"do": "next", "stream": int(number)}:
                return {}, await _known(self._inputs, number).next()
            case {"do": "close", "stream": int(number)}:
                await _known(self._inputs, number).close()
                del self._inputs[number]
            case {"do": "write", "name": str(name), "media_type": str(media_type)}:
                _check_names(name, media_type)
                return {"key": await self._context.write(name, body, media_type)}, b""
            case {"do": "create", "name": str(name), "media_type": str(media_type)}:
                return {"stream": self._create(name, media_type)}, b""
            case {"do": "put", "stream": int(number)}:
                await _known(self._artifacts, number).put(body)
            case {"do": "finish", "stream": int(number)}:
                return {"key": await self._artifacts_of(number).finish()}, b""
            case {"do": "abandon", "stream": int(number)}:
                await self._artifacts_of(number).abandon()
            case _:
                raise BadMessage("a request that there is not")
        return {}, b""

    async def _log(self, message: str, fields: dict[str, Any]) -> None:
        if "message" in fields or "self" in fields:
            raise ValueError("a field of a log line can't be called so")
        await self._context.log(message, **{key.replace("\x00", ""): _plain(value) for key, value in fields.items()})

    def _open(self, role: str) -> int:
        if len(self._inputs) >= STREAMS:
            raise ValueError(f"at most {STREAMS} inputs can be read at a time")
        if role not in self._context.inputs:
            raise ValueError(f"there is no input {role!r}")
        number = next(self._numbers)
        self._inputs[number] = _Source(self._context.inputs[role].stream())
        return number

    def _create(self, name: str, media_type: str) -> int:
        _check_names(name, media_type)
        if len(self._artifacts) >= STREAMS:
            raise ValueError(f"at most {STREAMS} artifacts can be written at a time")
        number = next(self._numbers)
        self._artifacts[number] = _Artifact(self._context, name, media_type)
        return number

    def _artifacts_of(self, number: int) -> "_Artifact":
        artifact: _Artifact = _known(self._artifacts, number)
        del self._artifacts[number]
        return artifact


class _Source:
    """An input that is being read, in pieces that fit in a message."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")
        self._turn = asyncio.Lock()

    async def next(self) -> bytes:
        """The next piece; empty at the end."""
        async with self._turn:
            while not self._piece:
                piece = await anext(self._pieces, None)
                if piece is None:
                    return b""
                self._piece = memoryview(piece)
            taken, self._piece = self._piece[:PIECE_BYTES], self._piece[PIECE_BYTES:]
            return bytes(taken)

    async def close(self) -> None:
        async with self._turn:
            close = getattr(self._pieces, "aclose", None)
            if close is not None:
                await close()


class _Abandoned(Exception):
    """The process gave up an artifact in the middle."""


class _Artifact:
    """An artifact that is being written: the context takes from a queue what the process brings."""

    def __init__(self, context: JobContext, name: str, media_type: str) -> None:
        self._pieces = asyncio.Queue[bytes | _Abandoned | None](1)
        self._stored = asyncio.create_task(context.write(name, self._taken(), media_type))

    async def put(self, piece: bytes) -> None:
        """Hand over a piece, once there is room for it; raises why it can't be stored."""
        await self._hand_over(piece)
        if self._stored.done():
            await self._stored

    async def finish(self) -> str:
        """The storage key, once all is stored."""
        await self._hand_over(None)
        return await self._stored

    async def abandon(self) -> None:
        """Leave no object: a source that fails makes the storage drop what it has, unless it takes too long."""
        await self._hand_over(_Abandoned())
        _done, late = await asyncio.wait((self._stored,), timeout=ABANDON_SECONDS)
        if late:
            self._stored.cancel()
            await asyncio.wait((self._stored,))
        if not self._stored.cancelled():
            self._stored.exception()  # it was told to the one who wrote

    async def _taken(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, _Abandoned):
                raise piece
            yield piece

    async def _hand_over(self, piece: bytes | _Abandoned | None) -> None:
        handing = asyncio.create_task(self._pieces.put(piece))
        try:
            wait = ABANDON_SECONDS if isinstance(piece, _Abandoned) else None
            await asyncio.wait((handing, self._stored), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            handing.cancel()


def _known(streams: "dict[int, Any]", number: int) -> Any:
    try:
        return streams[number]
    except KeyError:
        raise ValueError(f"there is no stream {number}") from None


def _check_names(name: str, media_type: str) -> None:
    if len(name) > LONGEST_NAME:
        raise ValueError(f"an artifact's name has at most {LONGEST_NAME} characters")
    if not (media_type.isascii() and media_type.isprintable() and 0 < len(media_type) <= LONGEST_MEDIA_TYPE):
        raise ValueError("that is no media type")


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) else str(value)
