"""The messages between a worker and an isolated process: a JSON header and raw bytes, each preceded by its length.

What comes from an isolated process is not to be trusted: lengths are looked at before anything is read, a header is
JSON and an object, and nothing is ever unpickled.
"""

import asyncio
import struct
from typing import Any

import orjson

HEADER_BYTES = 64 * 1024
# The pieces in which inputs and artifacts travel; with the requests under way they bound what a worker holds.
PIECE_BYTES = 1024 * 1024
RESULT_BYTES = 64 * 1024 * 1024
# At most so many requests of one attempt are answered at a time; further ones wait in the socket.
REQUESTS_UNDER_WAY = 8

_LENGTHS = struct.Struct(">II")

Header = dict[str, Any]


class BadMessage(Exception):
    """The other side sent what it may not."""


async def receive(reader: asyncio.StreamReader, longest: int) -> tuple[Header, bytes] | None:
    """The next message, or None at the end of all; its body has at most `longest` bytes, or RESULT_BYTES if it is a
    result. Raises BadMessage."""
    try:
        header_length, length = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if header_length > HEADER_BYTES:
            raise BadMessage(f"a header of {header_length} bytes")
        header = parse(await reader.readexactly(header_length))
        if length > (RESULT_BYTES if header.get("end") == "result" else longest):
            raise BadMessage(f"a message of {length} bytes")
        return header, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def send(writer: asyncio.StreamWriter, header: Header, body: bytes = b"") -> None:
    """Send a message, and wait while the other side reads too slowly. Raises ConnectionError when it is gone."""
    head = orjson.dumps(header)
    writer.writelines((_LENGTHS.pack(len(head), len(body)), head, body))
    await writer.drain()


def parse(line: bytes) -> Header:
    """A header; raises BadMessage."""
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadMessage("a header that is not JSON") from error
    if not isinstance(header, dict):
        raise BadMessage("a header that is not an object")
    return header
