"""A filter of system calls (seccomp-BPF) for a process that runs what nobody vouches for.

It refuses what leads out of the process: sockets, signals to others, tracing them, kernel interfaces that have been
ways to break out, and, as asked, to start processes. What it does not know, since the kernel is newer, is not there.
See seccomp(2), and Documentation/userspace-api/seccomp_filter.rst of Linux.
"""

import ctypes
import errno
import os
import socket
import struct
from dataclasses import dataclass
from typing import Literal

from helixnet.walls import kernel

# linux/audit.h
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# linux/filter.h, linux/bpf_common.h: load a word, jump if equal, if not less, if a bit is set; and; return
_LOAD, _EQUAL, _NOT_LESS, _BITS, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
# linux/seccomp.h
_SET_MODE_FILTER, _GET_ACTION_AVAIL, _NEW_LISTENER = 1, 2, 1 << 3
_KILL_PROCESS, _ERRNO, USER_NOTIF, _ALLOW = 0x80000000, 0x00050000, 0x7FC00000, 0x7FFF0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# linux/sched.h: CLONE_THREAD, and the new namespaces
_THREAD, _NAMESPACES = 0x00010000, 0x7E020000
# asm-generic/ioctls.h: input in a terminal's name
_TERMINAL_INPUT = (0x5412, 0x541C)


def _names(text: str) -> list[str]:
    return text.split()


_NO_PERMISSION = _names("""
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
    unshare setns mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick
    mount_setattr swapon swapoff reboot kexec_load kexec_file_load init_module finit_module delete_module
    bpf perf_event_open userfaultfd keyctl add_key request_key open_by_handle_at name_to_handle_at acct quotactl
    quotactl_fd syslog settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname fanotify_init
    lookup_dcookie modify_ldt iopl ioperm vhangup move_pages migrate_pages file_setattr
""")
# As if the kernel had been built without: what a library can do without, it does. They reach what other processes of
# the account share, take memory that no limit counts, or go past this filter.
_NOT_THERE = _names("""
    io_uring_setup io_uring_enter io_uring_register memfd_create memfd_secret
    shmget shmat shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink
""")
_NOT_SUPPORTED = _names("""
    setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
""")
# Landlock does not keep a process from these on files that it can't open. They do nothing and say that all is well:
# what copies or unpacks files asks for them and would fail, and in a folder that goes nothing depends on them.
_WITHOUT_EFFECT = _names("""
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
""")
# Which of their arguments says whom they are about: the process itself or nobody.
_ON_A_PROCESS = {
    "prlimit64": 0, "sched_setaffinity": 0, "sched_setscheduler": 0, "sched_setparam": 0, "sched_setattr": 0,
    "setpriority": 1, "ioprio_set": 1,
}  # fmt: skip
_SIGNALS = {"kill": 0, "tgkill": 0, "rt_sigqueueinfo": 0, "rt_tgsigqueueinfo": 0}

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What the filter leaves: internet sockets with `network`; processes as `processes` says: none, those that a
    listener agrees to, or any. `signals_elsewhere` leaves signals to Landlock, `truncation` files that are cut off."""

    network: bool
    processes: Literal["none", "asked", "any"]
    signals_elsewhere: bool
    truncation: bool


def is_there() -> bool:
    """Whether the kernel filters system calls, on a machine whose calls are known."""
    return _has(_ERRNO)


def can_ask() -> bool:
    """Whether a filter can ask another process (Linux 5.5)."""
    return _has(USER_NOTIF) and tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 5)


def _has(action: int) -> bool:
    try:
        return kernel.call("seccomp", _GET_ACTION_AVAIL, 0, ctypes.byref(ctypes.c_uint32(action))) == 0
    except OSError:
        return False


def apply(asked: Filter) -> int | None:
    """Put this thread, and all that it starts later, under the filter, which nothing takes off again. Answers the
    descriptor of the listener where processes are asked for. Raises OSError."""
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _program(asked))
    content = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(content))
    is_asked = asked.processes == "asked"
    answer = kernel.call("seccomp", _SET_MODE_FILTER, _NEW_LISTENER if is_asked else 0, header)
    return answer if is_asked else None


def _program(asked: Filter) -> list[_Instruction]:
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[kernel.MACHINE or ""]),
        (_RETURN, 0, 0, _KILL_PROCESS),  # the calls of another architecture have other numbers
        (_LOAD, 0, 0, _NUMBER),
        (_NOT_LESS, 0, 1, kernel.NEWEST_CALL + 1),
        _refuse(errno.ENOSYS),
    ]
    for name, block in _blocks(asked).items():
        number = kernel.number_of(name)
        if number is not None:
            program += [(_EQUAL, 0, len(block), number), *block]
    return [*program, _allow()]


def _blocks(asked: Filter) -> dict[str, list[_Instruction]]:
    """What is done at each call; a block ends the program."""
    me = os.getpid()
    blocks = {
        **{name: [_refuse(errno.EPERM)] for name in _NO_PERMISSION},
        **{name: [_refuse(errno.ENOSYS)] for name in _NOT_THERE},
        **{name: [_refuse(errno.EOPNOTSUPP)] for name in _NOT_SUPPORTED},
        **{name: [_refuse(0)] for name in _WITHOUT_EFFECT},
        **{name: _only(_argument(position), 0, me) for name, position in _ON_A_PROCESS.items()},
        "ioctl": [_argument(1), *((_EQUAL, 0, 1, code) if n % 2 == 0 else _refuse(errno.EPERM)
                                  for code in _TERMINAL_INPUT for n in range(2)), _allow()],
    }  # fmt: skip
    if asked.processes == "none":
        blocks |= {name: _only(_argument(position), 0, me) for name, position in _SIGNALS.items()}
        blocks["pidfd_send_signal"] = [_refuse(errno.EPERM)]
    if not asked.signals_elsewhere:
        blocks["tkill"] = [_refuse(errno.EPERM)]
    if not asked.truncation:
        blocks["truncate"] = [_refuse(errno.EPERM)]
    return blocks | _of_sockets(asked.network) | _of_processes(asked.processes)


def _of_sockets(network: bool) -> dict[str, list[_Instruction]]:
    # Datagrams can be sent from a pair to any socket of the machine that has a path.
    pair = [_argument(1), (_AND, 0, 0, 0xF), *_among(socket.SOCK_STREAM, socket.SOCK_SEQPACKET)]
    refused = [_refuse(errno.EACCES)]
    if not network:
        calls = ("socket", "connect", "bind", "listen", "accept", "accept4")
        return {**dict.fromkeys(calls, refused), "socketpair": pair}
    routes = [_argument(0), (_EQUAL, 0, 3, 16), _argument(2), (_EQUAL, 0, 1, 0), _allow()]
    families = [_argument(0), *_among(socket.AF_INET, socket.AF_INET6)]
    return {
        # AF_NETLINK (16) tells a resolver which addresses there are: its protocol 0, and no other.
        "socket": [*routes, *families],
        **dict.fromkeys(("listen", "accept", "accept4"), refused),
        "socketpair": pair,
    }


def _of_processes(processes: Literal["none", "asked", "any"]) -> dict[str, list[_Instruction]]:
    answer = {"none": _refuse(errno.EAGAIN), "asked": (_RETURN, 0, 0, USER_NOTIF), "any": _allow()}[processes]
    blocks: dict[str, list[_Instruction]] = {
        # Its flags lie in memory, where a filter does not see them; without it libraries take clone.
        "clone3": [_refuse(errno.ENOSYS)],
        "clone": [
            _argument(0), (_BITS, 0, 1, _NAMESPACES), _refuse(errno.EPERM), (_BITS, 0, 1, _THREAD), _allow(), answer,
        ],
        "fork": [answer],
        "vfork": [answer],
    }  # fmt: skip
    if processes == "none":
        blocks |= {name: [_refuse(errno.EPERM)] for name in ("execve", "execveat")}
    return blocks


def _only(load: _Instruction, *values: int) -> list[_Instruction]:
    return [load, *_among(*values, refused=errno.EPERM)]


def _among(*values: int, refused: int = errno.EACCES) -> list[_Instruction]:
    """Allow these values of what has been loaded, and refuse all others."""
    checks = [(_EQUAL, len(values) - position, 0, value) for position, value in enumerate(values)]
    return [*checks, _refuse(refused), _allow()]


def _argument(position: int) -> _Instruction:
    """Load the lower half of an argument, which is all that the kernel takes of an int; both machines are
    little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * position)


def _refuse(code: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _allow() -> _Instruction:
    return (_RETURN, 0, 0, _ALLOW)
