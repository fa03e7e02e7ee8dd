"""Processors that do what they may not, for the tests: each tries a set of deeds and says what became of them."""

import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from helixnet.processors import BlockingContext, InputRole, ProcessLimits, Processor

DONE = "done"
PTRACE_ATTACH = 16
# By name, on x86-64 and aarch64.
CALLS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "unshare": (272, 97),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "clone": (56, 220),
    "clone3": (435, 435),
    "unknown": (600, 600),
}
NEW_USER_NAMESPACE = 0x10000000


class Targets(BaseModel):
    """What there is to be reached from the worker's account: files, sockets, processes."""

    files: list[str] = []
    port: int = 0
    socket_path: str = ""
    pid: int = 0
    scratch_of_others: str = ""


def tried(deeds: dict[str, Callable[[], object]]) -> dict[str, str]:
    """Of each deed the name of the error that it met, or that it was done."""
    outcomes = {}
    for name, deed in deeds.items():
        try:
            deed()
        except OSError as error:
            outcomes[name] = errno.errorcode.get(error.errno or 0, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - it is told
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = DONE
    return outcomes


def call(name: str, *arguments: int) -> int:
    """A system call as C has it; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = CALLS[name][0 if os.uname().machine == "x86_64" else 1]
    answer: int = libc.syscall(*(ctypes.c_long(each) for each in (number, *arguments)))
    if answer < 0:
        raise OSError(ctypes.get_errno(), name)
    return answer


def read(_context: BlockingContext, params: Targets) -> dict[str, str]:
    """Read what is not ours."""
    paths = [
        "/etc/passwd",
        "/etc/shadow",
        f"/proc/{os.getppid()}/environ",
        f"/proc/{params.pid}/cmdline",
        *params.files,
    ]
    deeds: dict[str, Callable[[], object]] = {path: Path(path).read_bytes for path in paths}
    folders = ("/", "/tmp", "/dev/shm", params.scratch_of_others)
    deeds |= {path: (lambda path=path: list(Path(path).iterdir())) for path in folders}  # type: ignore[misc]
    return tried(deeds)


def write(context: BlockingContext, params: Targets) -> dict[str, str]:
    """Write where others read."""
    path = context.inputs["content_key"].path()
    own = context.scratch / "own"
    return tried(
        {
            "input": lambda: path.write_bytes(b"forged"),
            "append": lambda: path.open("ab"),
            "truncate": lambda: os.truncate(path, 0),
            "remove": path.unlink,
            "rename": lambda: path.rename(context.scratch / "taken"),
            "link": lambda: os.link(path, context.scratch / "linked"),
            "beside": lambda: path.with_name("beside").write_bytes(b"x"),
            "library": lambda: Path(socket.__file__).open("ab"),
            "tmp": lambda: Path("/tmp/helix-hostile").write_bytes(b"x"),
            "mode": lambda: path.chmod(0o777),
            "attribute": lambda: os.setxattr(path, "user.mark", b"x"),
            "own": lambda: own.write_bytes(b"x"),
            "own folder": lambda: (context.scratch / "a" / "b").mkdir(parents=True),
            "own rename": lambda: own.rename(context.scratch / "a" / "own"),
            "null": lambda: Path(os.devnull).write_bytes(b"x"),
        }
    )


def connect(_context: BlockingContext, params: Targets) -> dict[str, str]:
    """Leave by the network."""

    def to_path() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(params.socket_path)

    def by_datagram() -> None:
        for end in socket.socketpair(type=socket.SOCK_DGRAM):
            end.close()

    def listen() -> None:
        with socket.create_server(("127.0.0.1", 0)):
            pass

    def streams() -> None:
        for end in socket.socketpair():
            end.close()

    return tried(
        {
            "tcp": lambda: socket.create_connection(("127.0.0.1", params.port), 5).close(),
            "udp": lambda: socket.socket(type=socket.SOCK_DGRAM).close(),
            "unix": to_path,
            "raw": lambda: socket.socket(type=socket.SOCK_RAW).close(),
            "packet": lambda: socket.socket(socket.AF_PACKET).close(),
            "audit": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9).close(),
            "listen": listen,
            "datagram pair": by_datagram,
            "pair": streams,
            "io_uring": lambda: call("io_uring_setup", 1, 0),
        }
    )


def start(_context: BlockingContext, _params: Targets) -> dict[str, str]:
    """Start processes in every way that there is, and threads, which are allowed."""

    def begin_threads() -> None:
        threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return tried(
        {
            "fork": os.fork,
            "program": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
            "spawn": lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}),
            "shell": lambda: subprocess.run("true", shell=True, check=True),
            "replace": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),
            "clone": lambda: call("clone", signal.SIGCHLD, 0, 0, 0, 0),
            "clone3": lambda: call("clone3", 0, 88),
            "namespace": lambda: call("unshare", NEW_USER_NAMESPACE),
            "threads": begin_threads,
        }
    )


def disturb(_context: BlockingContext, params: Targets) -> dict[str, str]:
    """Do something to another process of the account."""
    pid = params.pid
    return tried(
        {
            "kill": lambda: os.kill(pid, signal.SIGKILL),
            "kill all": lambda: os.kill(-1, signal.SIGKILL),
            "keeper": lambda: os.kill(os.getppid(), signal.SIGKILL),
            "by descriptor": lambda: call("pidfd_send_signal", call("pidfd_open", pid, 0), signal.SIGKILL, 0, 0),
            "trace": lambda: call("ptrace", PTRACE_ATTACH, pid, 0, 0),
            "memory": lambda: call("process_vm_readv", pid, 0, 0, 0, 0, 0),
            "memory file": lambda: Path(f"/proc/{pid}/mem").read_bytes(),
            "limit": lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)),
            "own limit": lambda: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2),
            "priority": lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
            "processors": lambda: os.sched_setaffinity(pid, {0}),
            "faults": lambda: call("userfaultfd", 0),
            "unknown call": lambda: call("unknown"),
            "own signal": lambda: os.kill(os.getpid(), 0),
        }
    )


def bomb(_context: BlockingContext, _params: Targets) -> None:
    """Fork without end, in every process."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def few(_context: BlockingContext, params: Targets) -> dict[str, Any]:
    """Start as many processes as are allowed, one after the other and at a time, and try to disturb."""
    for _ in range(10):
        subprocess.run(["true"], check=True)
    children = [subprocess.Popen(["sleep", "300"]) for _ in range(2)]
    outcomes = disturb(_context, params)
    own = tried({"own child": children[0].kill})
    return outcomes | own | {"ended": children[0].wait()}


def libraries(context: BlockingContext, _params: Targets) -> dict[str, Any]:
    """Import what has not been imported yet, and use what libraries read on the way."""
    import mimetypes
    import sqlite3
    import ssl
    import zoneinfo

    import jinja2

    from tests.worker import proxy

    with sqlite3.connect(context.scratch / "a.db") as database:
        database.execute("CREATE TABLE t AS SELECT 1 AS a")
    return {
        "sqlite": database.execute("SELECT a FROM t").fetchall(),
        "certificates": len(ssl.create_default_context().get_ca_certs()) > 0,
        "time zone": str(zoneinfo.ZoneInfo("Europe/Berlin")),
        "media type": mimetypes.guess_type("a.svg")[0],
        "template": jinja2.Template("{{ a }}").render(a=1),
        "own package": proxy.__name__,
        "random": len(Path("/dev/urandom").open("rb").read(8)),
        "memory": "MemTotal" in Path("/proc/meminfo").read_text(),
        "itself": Path("/proc/self/comm").read_text() != "",
        "processors": len(os.sched_getaffinity(0)) > 0,
        "fonts": list(Path("/usr/share").iterdir()) != [],
    }


def hostile(run: Any, limits: ProcessLimits | None = None) -> Processor:
    return Processor(
        name=f"tests.{run.__name__}",
        version="1",
        description="Does what it may not.",
        run=run,
        params=Targets,
        inputs={"content_key": InputRole("Something to forge.", required=False)},
        isolation="process",
        limits=limits or ProcessLimits(),
    )


READ, WRITE, CONNECT, START, DISTURB, LIBRARIES = (
    hostile(run) for run in (read, write, connect, start, disturb, libraries)
)
CONNECT_ALLOWED = hostile(connect, ProcessLimits(network=True))
BOMB, FEW = (hostile(run, ProcessLimits(processes=3)) for run in (bomb, few))
STRICT_BOMB = hostile(bomb)
