"""Arrays for statements, in the binary format in which PostgreSQL takes them.

What goes through the engine's statements goes in arrays, hundreds of values at a time, and psycopg needs some
microseconds for each of them: it asks for every value what it is (measured: 6 us, against 0.3 us here). The statement
says the type: `CAST(:ids AS uuid[])`.

Source of the format: `array_recv` in src/backend/utils/adt/arrayfuncs.c, and the `…_recv` functions of the types.
"""

import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from uuid import UUID

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format


class Element(IntEnum):
    """Types of elements, by their numbers in pg_type."""

    BOOLEAN = 16
    SMALLINT = 21
    INTEGER = 23
    TEXT = 25
    JSON = 114
    DOUBLE = 701
    TIMESTAMPTZ = 1184
    UUID = 2950


class Array(bytes):
    """An array, ready to be sent."""

    __slots__ = ()

    @classmethod
    def of(cls, element: Element, values: Iterable[bytes]) -> "Array":
        """An array of one dimension, of values that the functions below have written."""
        written = list(values)
        return cls(_HEAD.pack(1, 1, element, len(written), 1) + b"".join(written))


class _ArrayDumper(Dumper):
    format = Format.BINARY
    oid = 0  # the statement says it

    def dump(self, obj: Buffer) -> Buffer:
        return obj


psycopg.adapters.register_dumper(Array, _ArrayDumper)

# How many dimensions, whether any value may be NULL, the type, how many elements, and the number of the first one.
_HEAD = struct.Struct("!iiiii")
_LENGTH = struct.Struct("!i")
_SMALLINT = struct.Struct("!ih")
_INTEGER = struct.Struct("!ii")
_DOUBLE = struct.Struct("!id")
_TIMESTAMP = struct.Struct("!iq")
_UUID_LENGTH = _LENGTH.pack(16)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NULL = _LENGTH.pack(-1)
TRUE, FALSE = b"\0\0\0\1\1", b"\0\0\0\1\0"


def uuid(value: UUID) -> bytes:
    return _UUID_LENGTH + value.bytes


def text(value: str | None) -> bytes:
    return NULL if value is None else json(value.encode())


def json(value: bytes | None) -> bytes:
    """A value that is JSON text already."""
    return NULL if value is None else _LENGTH.pack(len(value)) + value


def smallint(value: int) -> bytes:
    return _SMALLINT.pack(2, value)


def integer(value: int) -> bytes:
    return _INTEGER.pack(4, value)


def double(value: float) -> bytes:
    return _DOUBLE.pack(8, value)


def boolean(value: bool) -> bytes:
    return TRUE if value else FALSE


def timestamp(value: datetime) -> bytes:
    return _TIMESTAMP.pack(8, (value - _EPOCH) // _MICROSECOND)
