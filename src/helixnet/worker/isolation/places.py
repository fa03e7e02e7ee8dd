"""Which places of this machine an isolated process may read: what Python, libraries and programs are made of.

None of it is anybody's own: no account's files, no configuration but that of libraries, no other process.
"""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from helixnet.walls.landlock import READ, USE_DEVICE, WRITE, Access, Place

# Code and data that come with the system, as the Filesystem Hierarchy Standard has them; Nix's and Guix's way of it.
SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/lib", "/lib64", "/usr/share",
          "/usr/local/share", "/nix/store", "/gnu/store")  # fmt: skip
# Programs, for those that may start some.
PROGRAMS = ("/usr", "/bin", "/sbin", "/etc/alternatives")
# What libraries are configured by: where they lie, certificates, the time zone, fonts, media types, protocols.
CONFIGURATION = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/ssl",
                 "/etc/pki", "/etc/ca-certificates", "/etc/localtime", "/etc/timezone", "/etc/fonts",
                 "/var/cache/fontconfig", "/etc/mime.types", "/etc/magic", "/etc/nsswitch.conf", "/etc/services",
                 "/etc/protocols", "/etc/os-release")  # fmt: skip
RESOLVER = ("/etc/hosts", "/etc/resolv.conf", "/etc/host.conf", "/etc/gai.conf")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# How large the machine is, and what it grants.
MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version",
           "/proc/filesystems", "/proc/sys", "/proc/self", "/sys/fs/cgroup", "/sys/devices/system", "/sys/kernel/mm",
           "/dev/random", "/dev/urandom")  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
# Of the folder that Python is installed in; others beside these are not Python's, as /usr/src and /opt/helix/secrets.
OF_PREFIX = ("bin", "lib", "lib64", "share", "include", "ssl", "etc/fonts", "pyvenv.cfg")
MODULE_ENDINGS = (".py", ".pyc", ".so", ".dist-info", ".egg-info", ".zip")


def places(scratch: str, inputs: list[str], *, network: bool, programs: bool) -> list[Place]:
    """What an attempt may read, and its scratch folder, which it may write to. `inputs` are files; `programs` says
    that it may start some, and then see which processes there are (the kernel keeps it from what they hold)."""
    return [
        Place(scratch, WRITE | Access.EXECUTE if programs else WRITE),
        *(Place(path, Access.READ_FILE) for path in inputs),
        *of_machine(network=network, programs=programs),
    ]


@cache
def of_machine(*, network: bool, programs: bool) -> tuple[Place, ...]:
    """What any attempt may read. Which modules are imported has a part in it: to be forgotten when more are."""
    read = READ | Access.EXECUTE if programs else READ
    paths = [*SYSTEM, *CONFIGURATION, *MACHINE, *_of_python()]
    paths += [os.environ[name] for name in CERTIFICATES if name in os.environ]
    if network:
        paths += [*RESOLVER, *(os.path.realpath(name) for name in RESOLVER)]
    if programs:
        paths += [*PROGRAMS, "/proc"]
    found = [
        *(Place(path, read) for path in dict.fromkeys(paths)),
        *(Place(path, USE_DEVICE) for path in DEVICES),
        *(Place(folder, Access.READ_FOLDER) for folder in _open_folders()),
    ]
    return tuple(place for place in found if os.path.exists(place.path))  # noqa: PTH110


def _of_python() -> Iterator[str]:
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)):
        yield from (str(Path(prefix, name)) for name in OF_PREFIX)
    prefixes = (sys.prefix, sys.base_prefix)
    for entry in sys.path:
        if not os.path.isdir(entry) or Path(entry).name in ("site-packages", "dist-packages"):  # noqa: PTH112
            yield entry  # a folder of packages, or an archive of them
        elif not _is_below(entry, prefixes):
            yield from _modules_in(entry)
    for module in list(sys.modules.values()):
        # Packages that are found in other ways, as those without a file of their own and editable ones.
        name = getattr(module, "__name__", ".")
        if "." not in name and name not in sys.stdlib_module_names:
            yield from (path for path in getattr(module, "__path__", ()) if not _is_below(path, (*prefixes, *SYSTEM)))


def _modules_in(folder: str) -> Iterator[str]:
    """The modules and packages of a folder that may hold other things too, such as a project's."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(MODULE_ENDINGS) or os.path.exists(f"{entry.path}/__init__.py"):  # noqa: PTH110
                    yield entry.path
    except OSError:
        return


def _open_folders() -> Iterator[str]:
    """Folders that Python lists to find modules, although they may hold other things."""
    return (entry for entry in sys.path if entry not in ("", "/") and os.path.isdir(entry))  # noqa: PTH112


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders)
