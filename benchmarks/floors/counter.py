"""A count that worker processes share with the program at the price of a memory write: a small mapped file."""

import mmap
import struct
from pathlib import Path

SLOTS = 64
NUMBER = struct.Struct("q")


class Counter:
    """One number for each process, in a file that all of them map. Slot 0 says that the worker is ready."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(NUMBER.size * SLOTS))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def add(self, slot: int) -> None:
        """Count one; a slot belongs to one process, so nothing is to lock."""
        offset = NUMBER.size * slot
        NUMBER.pack_into(self._map, offset, NUMBER.unpack_from(self._map, offset)[0] + 1)

    def get(self, slot: int) -> int:
        return int(NUMBER.unpack_from(self._map, NUMBER.size * slot)[0])

    def total(self) -> int:
        """What all processes have counted together."""
        return sum(self.get(slot) for slot in range(1, SLOTS))
