"""Walls around a process, made of what its kernel has: no network, no files but some, no processes but so many.

`seccomp` filters system calls and `landlock` guards files; `kernel` makes the calls. A process puts itself behind them,
while it has one thread; nothing takes them off again.
"""

from helixnet.walls import kernel, landlock, seccomp


def missing() -> list[str]:
    """The walls that this kernel does not have, each as the end of a sentence: what goes unguarded, and why."""
    if not kernel.LINUX:
        return ["network, files and other processes are in reach: only Linux can keep a process from them"]
    gaps = []
    if not seccomp.is_there():
        gaps.append("the network and other processes are in reach: there are no filters of system calls (seccomp) here")
    elif not seccomp.can_ask():
        gaps.append("processes are not counted where some may be started: that takes Linux 5.5")
    version = landlock.abi()
    if version == 0:
        gaps.append("the files of the worker's account can be read and written: there is no Landlock here")
    elif version < landlock.SCOPES_ABI:
        gaps.append(
            "processors that may start processes can signal others of the worker's account: Landlock here is of "
            f"version {version}, and {landlock.SCOPES_ABI} is needed (Linux 6.12)"
        )
    return gaps
