"""Landlock: a process gives up the file system but for named places, and with it other ways to its neighbours.

Each kernel has a version (ABI) of it, and takes what that version knows. See landlock(7) and
Documentation/userspace-api/landlock.rst of Linux.
"""

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag

from helixnet.walls import kernel

_VERSION, _PATH_BENEATH = 1, 1
# linux/landlock.h
_BIND_TCP, _CONNECT_TCP = 1, 2
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2
TRUNCATION_ABI, NETWORK_ABI, SCOPES_ABI = 3, 4, 6


class Access(IntFlag):
    """What may be done with files (LANDLOCK_ACCESS_FS_*)."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_FOLDER = 1 << 3
    REMOVE_FOLDER = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHARACTER_DEVICE = 1 << 6
    MAKE_FOLDER = 1 << 7
    MAKE_FILE = 1 << 8
    MAKE_SOCKET = 1 << 9
    MAKE_PIPE = 1 << 10
    MAKE_BLOCK_DEVICE = 1 << 11
    MAKE_LINK = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    CONTROL_DEVICE = 1 << 15


READ = Access.READ_FILE | Access.READ_FOLDER
USE_DEVICE = Access.READ_FILE | Access.WRITE_FILE | Access.TRUNCATE | Access.CONTROL_DEVICE
WRITE = (
    READ
    | Access.WRITE_FILE
    | Access.TRUNCATE
    | Access.REFER
    | Access.MAKE_FILE
    | Access.MAKE_FOLDER
    | Access.MAKE_LINK
    | Access.MAKE_PIPE
    | Access.REMOVE_FILE
    | Access.REMOVE_FOLDER
)
_OF_FILES = Access.EXECUTE | USE_DEVICE
# Which of them each version knows: all up to this bit.
_NEWEST = {1: Access.MAKE_LINK, 2: Access.REFER, 3: Access.TRUNCATE, 4: Access.TRUNCATE}


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what packing means, which newer Pythons want said
    _fields_ = (("access", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with all below it, or a file, and what may be done there."""

    path: str
    access: Access


def abi() -> int:
    """The version that the kernel has; 0 without Landlock."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def apply(places: Iterable[Place], version: int, *, network: bool) -> None:
    """Leave this thread, and all that it starts later, these places and no other; places that there are not are left
    out. From version 6 on it can signal none but its own, and reach no abstract socket of others; from 4 on it listens
    on no TCP port, and without `network` connects to none. `version` is what `abi` answers. Raises OSError."""
    handled = Access((_NEWEST.get(version, Access.CONTROL_DEVICE) << 1) - 1)
    asked = _Ruleset(
        handled,
        0 if version < NETWORK_ABI else _BIND_TCP if network else _BIND_TCP | _CONNECT_TCP,
        0 if version < SCOPES_ABI else _ABSTRACT_SOCKETS | _SIGNALS,
    )
    size = 8 if version < NETWORK_ABI else 16 if version < SCOPES_ABI else 24
    ruleset = kernel.call("landlock_create_ruleset", ctypes.byref(asked), size, 0)
    try:
        for place in places:
            _add(ruleset, place, handled)
        kernel.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, place: Place, handled: Access) -> None:
    try:
        descriptor = os.open(place.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        access = place.access & handled
        if not os.path.isdir(descriptor):  # noqa: PTH112 - there is no Path of a descriptor
            access &= _OF_FILES
        if access:
            rule = _Beneath(access, descriptor)
            kernel.call("landlock_add_rule", ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
