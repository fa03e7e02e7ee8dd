"""A worker on a kernel that lacks some walls, as a program: it hides system calls from itself, and reports.

`python -m tests.worker.poorer landlock_create_ruleset` answers that call as an older kernel does.
"""

import asyncio
import ctypes
import errno
import json
import logging
import struct
import sys

from helixnet import walls
from helixnet.config import Settings
from helixnet.doctor import configuration
from helixnet.walls import kernel
from helixnet.worker.isolation.run import Isolation
from helixnet.worker.isolation.walls import tell_missing
from tests.worker.hostile import CONNECT, DISTURB, READ, START, Targets
from tests.worker.isolated import PrintingContext


def hide(name: str) -> None:
    """Let a system call not be there, for this process and all that it starts (seccomp(2))."""
    instructions = (
        (0x20, 0, 0, 0),  # load the call's number
        (0x15, 0, 1, kernel.number_of(name)),
        (0x06, 0, 0, 0x00050000 | errno.ENOSYS),
        (0x06, 0, 0, 0x7FFF0000),  # all others are allowed
    )
    program = b"".join(struct.pack("=HBBI", *each) for each in instructions)
    content = ctypes.create_string_buffer(program, len(program))
    kernel.gain_nothing()
    kernel.call("seccomp", 1, 0, struct.pack("@HP", len(instructions), ctypes.addressof(content)))


async def report(pid: int) -> dict[str, object]:
    isolation = Isolation()
    outcomes: dict[str, object] = {}
    try:
        for processor in (READ, CONNECT, START, DISTURB):
            found = await isolation.run(processor, PrintingContext(), Targets(pid=pid))
            outcomes[processor.name.removeprefix("tests.")] = found
    finally:
        await isolation.close()
    return outcomes


def main() -> None:
    logging.basicConfig()
    pid, *names = sys.argv[1:]
    for name in names:
        hide(name)
    tell_missing([READ])
    found = configuration.walls(Settings.model_validate({"profile": "production"}))
    report_of_all = {
        "missing": walls.missing(),
        "findings": [[finding.check, str(finding.level), finding.message] for finding in found],
        "outcomes": asyncio.run(report(int(pid))),
    }
    print(json.dumps(report_of_all))


if __name__ == "__main__":
    main()
