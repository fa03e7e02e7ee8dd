"""What a killed supervisor leaves is ended, and nothing else."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from helixnet.stack import guard
from helixnet.stack.guard import Trace
from helixnet.stack.watch import Watch
from tests.conftest import is_alive, wait_until

WITH_A_CHILD = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('up', flush=True); sys.stdin.read()"
SUPERVISOR = """
import subprocess, sys
from pathlib import Path
from helixnet.stack.watch import Watch
with Watch(Path(sys.argv[1])) as watch:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    watch.add("sleeper", child.pid, 9)
    print(child.pid, watch._guard.pid, flush=True)
    for line in sys.stdin:
        second = subprocess.Popen(["sleep", "600"], start_new_session=True)
        watch.add(line, second.pid, 9)
        print(second.pid, flush=True)
"""


def start(code: str, *arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for its end; not for that of its pipe, which its children hold open."""
    process.wait(10)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def trace_of(pid: int) -> Trace:
    birth = guard.birth(pid)
    assert birth is not None
    return Trace("it", pid, birth, signal.SIGKILL)


def test_a_child_is_ended_with_what_it_started() -> None:
    process = start(WITH_A_CHILD)
    assert process.stdout is not None
    process.stdout.readline()
    (grandchild,) = psutil.Process(process.pid).children()

    ended = guard.end([trace_of(process.pid)])

    finish(process)
    assert [trace.name for trace in ended] == ["it"]
    wait_until(lambda: not is_alive(grandchild), "the grandchild is gone")


def test_orphans_of_a_dead_child_are_ended() -> None:
    process = start(WITH_A_CHILD)
    assert process.stdout is not None
    process.stdout.readline()
    (orphan,) = psutil.Process(process.pid).children()
    trace = trace_of(process.pid)
    process.kill()
    finish(process)
    assert is_alive(orphan)

    guard.end([trace])

    wait_until(lambda: not is_alive(orphan), "the orphan is gone")


def test_a_later_process_with_the_same_number_is_left_alone() -> None:
    process = start(WITH_A_CHILD)
    trace = trace_of(process.pid)

    ended = guard.end([Trace("it", trace.pid, trace.birth + "1", signal.SIGKILL)])

    alive = process.poll() is None
    guard.end([trace])
    finish(process)
    assert (ended, alive) == ([], True)


def test_the_guard_ends_the_children_of_a_killed_supervisor(tmp_path: Path) -> None:
    supervisor = start(SUPERVISOR, tmp_path / "children.json")
    assert supervisor.stdout is not None
    child, watcher = (psutil.Process(int(word)) for word in supervisor.stdout.readline().split())

    supervisor.kill()

    wait_until(lambda: not is_alive(child) and not is_alive(watcher), "child and guard are gone")
    finish(supervisor)


def test_the_next_start_ends_what_a_killed_guard_could_not(tmp_path: Path) -> None:
    file = tmp_path / "children.json"
    supervisor = start(SUPERVISOR, file)
    assert supervisor.stdout is not None
    child, watcher = (psutil.Process(int(word)) for word in supervisor.stdout.readline().split())
    watcher.kill()
    supervisor.kill()
    finish(supervisor)
    assert is_alive(child)

    with Watch(file):
        wait_until(lambda: not is_alive(child), "the child is gone")

    assert not file.exists()


def test_a_killed_guard_is_replaced_with_the_next_change(tmp_path: Path) -> None:
    supervisor = start(SUPERVISOR, tmp_path / "children.json")
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    child, watcher = (psutil.Process(int(word)) for word in supervisor.stdout.readline().split())
    watcher.kill()
    # A process that is being killed still takes what is written to it.
    wait_until(lambda: not is_alive(watcher), "the guard is gone")
    supervisor.stdin.write(b"one more\n")
    supervisor.stdin.flush()
    second = psutil.Process(int(supervisor.stdout.readline()))

    supervisor.kill()

    wait_until(lambda: not is_alive(child) and not is_alive(second), "both children are gone")
    finish(supervisor)


def test_a_child_that_was_forgotten_is_ended_with_the_watch(tmp_path: Path) -> None:
    with Watch(tmp_path / "children.json") as watch:
        sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
        watch.add("sleeper", sleeper.pid, signal.SIGKILL)

    assert sleeper.wait(10) == -signal.SIGKILL
