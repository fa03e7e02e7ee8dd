"""Unpacking as a stream, with a bound on what comes out: nothing is kept, and no bomb goes off."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from helixnet.processors.media.signatures import BZIP2, GZIP, XZ, ZSTD, Kind

PIECE_BYTES = 256 * 1024
MOST_BYTES = 64 * 1024**3
"""What is unpacked of one file, at most."""
MOST_RATIO, RATIO_AFTER = 250, 256 * 1024**2
"""After so many unpacked bytes, more than this for each packed one is taken for a bomb."""
XZ_MEMORY = 128 * 1024**2
"""The usual presets of xz need up to 65 MiB to unpack; what asks for more is not unpacked."""
ZSTD_WINDOW_LOG = 27
"""The largest window that decoders have to take is 8 MiB (RFC 8878); 128 MiB is what the zstd program takes."""
FORMATS = {GZIP.media_type: "gzip", BZIP2.media_type: "bzip2", XZ.media_type: "xz", ZSTD.media_type: "zstd"}


class Damaged(Exception):
    """The packed data can't be unpacked any further; its words say why."""


class Bomb(Exception):
    """What comes out is out of all proportion; its words say how far it went."""


class Greedy(Exception):
    """Unpacking asks for more memory than it may have."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Unpacked:
    """What a packed stream holds, in pieces; `size` is how much has come out so far."""

    def __init__(self, kind: Kind, packed: Iterator[bytes]) -> None:
        self._packed = packed
        self._new, self._errors = _decompressor(kind)
        self._taken = 0
        self.size = 0

    def pieces(self) -> Iterator[bytes]:
        """The content, in pieces of at most 256 KiB; raises Damaged or Bomb."""
        machine, data = self._new(), b""
        fresh, members = True, 0
        while True:
            if not data and machine.needs_input and (data := self._more()) == b"":
                if not fresh or not members:
                    raise Damaged(f"it ends in the middle, after {self.size:,} unpacked bytes")
                return
            if fresh and members and not (data := data.lstrip(b"\x00")):
                continue  # padding behind a member
            try:
                piece = machine.decompress(data, PIECE_BYTES)
            except self._errors as error:
                if fresh and members:
                    raise Damaged("something else follows after its end") from error
                # The libraries have no error of its own for this one.
                if "memory" in str(error).lower():
                    raise Greedy("unpacking it asks for over 128 MiB of memory") from error
                raise Damaged(f"{error} (after {self.size:,} unpacked bytes)") from error
            data, fresh = b"", False
            self.size += len(piece)
            self._check()
            if piece:
                yield piece
            if machine.eof:
                data, machine = machine.unused_data, self._new()
                fresh, members = True, members + 1

    def _more(self) -> bytes:
        for piece in self._packed:
            if piece:
                self._taken += len(piece)
                return piece
        return b""

    def _check(self) -> None:
        if self.size > MOST_BYTES:
            raise Bomb(f"it unpacks to more than {MOST_BYTES:,} bytes")
        if self.size > RATIO_AFTER and self.size > MOST_RATIO * self._taken:
            raise Bomb(f"it unpacks to more than {MOST_RATIO} times its size")


class _Gzip:
    """zlib's decompressor with the interface of the other ones."""

    def __init__(self) -> None:
        self._machine = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._machine.eof

    @property
    def needs_input(self) -> bool:
        return not self._machine.unconsumed_tail and not self._full

    _full = False

    @property
    def unused_data(self) -> bytes:
        return self._machine.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        found = self._machine.decompress(self._machine.unconsumed_tail + data, max_length)
        # Output may wait inside although all input is taken: then an empty call brings it.
        self._full = len(found) == max_length and not self._machine.eof
        return found


def _decompressor(kind: Kind) -> tuple[Callable[[], _Decompressor], tuple[type[Exception], ...]]:
    match FORMATS[kind.media_type]:
        case "gzip":
            return _Gzip, (zlib.error,)
        case "bzip2":
            return bz2.BZ2Decompressor, (OSError, ValueError)
        case "xz":
            return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY), (lzma.LZMAError,)
    return _zstd()


def _zstd() -> tuple[Callable[[], _Decompressor], tuple[type[Exception], ...]]:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        from backports import zstd
    options = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    return lambda: zstd.ZstdDecompressor(options=options), (zstd.ZstdError,)
