"""The faults: which, when and to whom is drawn from a seeded generator; each counts only if it really happened."""

import contextlib
import itertools
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import psutil

from benchmarks.chaos_stack import LEASE_SECONDS, ChaosError, Stack, holds_within, is_alive

# Between two faults, in seconds: about 30 of them a minute, with the time that they take.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.7, 2.6
DEATH_SECONDS = 10.0
# How long a worker sleeps beyond its lease, and a broker at all.
SHORTEST_OVERSLEEP, LONGEST_OVERSLEEP = 0.5, 3.0
SHORTEST_FREEZE, LONGEST_FREEZE = 1.0, 7.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done: `at` seconds after the first one was due, to which process."""

    at: float
    kind: str
    pid: int
    seconds: float = 0.0  # of a freeze


class Chaos:
    """Harms a stack's processes, one fault after another. As a context, it leaves nobody frozen."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.faults: list[Fault] = []
        self._stack = stack
        self._seed = seed
        self._rng = random.Random()
        self._began = time.monotonic()
        self._frozen: list[tuple[threading.Timer, Sequence[psutil.Process]]] = []
        self._kinds: dict[Callable[[], Fault | None], float] = {
            self._kill_pool_child: 34,
            self._kill_worker: 8,
            self._kill_web: 11,
            self._kill_beat: 11,
            self._kill_broker: 10,
            self._kill_cache: 4 if stack.broker != "valkey" else 0,
            self._restart_postgres: 8,
            self._freeze_pool_child: 7,
            self._freeze_worker: 4,
            self._freeze_broker: 8,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.wake_all()

    @property
    def counts(self) -> Counter[str]:
        """How many faults of each kind happened."""
        return Counter(fault.kind for fault in self.faults)

    def reign(self, seconds: float, watch: Callable[[], None]) -> None:
        """Do harm for so long; `watch` is called after each fault. Raises ChaosError when the supervisor is gone."""
        self._began = time.monotonic()
        wait = threading.Event().wait
        pace = 1.0
        for number in itertools.count():
            left = self._began + seconds - time.monotonic()
            if left <= 0:
                break
            # A generator for each fault: the next one is the same, whether or not this one can happen.
            self._rng = random.Random(f"{self._seed} fault {number}")
            wait(min(left, self._rng.uniform(SHORTEST_PAUSE, LONGEST_PAUSE) * pace))
            if not self._stack.is_up():
                raise ChaosError("the supervisor ended by itself")
            self._stack.look_around()
            strike = self._rng.choices(list(self._kinds), list(self._kinds.values()))[0]
            fault = strike()
            if fault is not None:
                self.faults.append(fault)
            # Who was to be harmed is down already: the next one does not wait for long.
            pace = 1.0 if fault is not None else 0.2
            watch()
        self.wake_all()

    def wake_all(self) -> None:
        """Let everybody go on who was stopped."""
        while self._frozen:
            timer, processes = self._frozen.pop()
            timer.cancel()
            _wake(processes)

    def _kill_pool_child(self) -> Fault | None:
        return self._kill("pool child killed", self._pool_child())

    def _kill_worker(self) -> Fault | None:
        return self._kill("worker killed", self._stack.part("worker"))

    def _kill_web(self) -> Fault | None:
        return self._kill("web killed", self._stack.part("web"))

    def _kill_beat(self) -> Fault | None:
        return self._kill("beat killed", self._stack.part("beat"))

    def _kill_broker(self) -> Fault | None:
        return self._kill("broker killed", self._stack.broker_process())

    def _kill_cache(self) -> Fault | None:
        """The Valkey that carries the hints, where it isn't the broker."""
        return self._kill("cache killed", self._stack.part("valkey"))

    def _restart_postgres(self) -> Fault | None:
        # SIGQUIT is PostgreSQL's immediate mode: no goodbye, and a recovery from the log at the next start.
        return self._kill("postgres ended", self._stack.part("postgres"), signal.SIGQUIT)

    def _freeze_pool_child(self) -> Fault | None:
        child = self._pool_child()
        return self._freeze("pool child frozen", [child] if child else [], self._over_the_lease())

    def _freeze_worker(self) -> Fault | None:
        main = self._stack.part("worker")
        if main is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            main.suspend()  # first, so that it forks nobody meanwhile
            return self._freeze("worker frozen", [main, *main.children(recursive=True)], self._over_the_lease())
        return None

    def _freeze_broker(self) -> Fault | None:
        broker = self._stack.broker_process()
        seconds = self._rng.uniform(SHORTEST_FREEZE, LONGEST_FREEZE)
        return self._freeze("broker frozen", [broker] if broker else [], seconds)

    def _over_the_lease(self) -> float:
        return LEASE_SECONDS + self._rng.uniform(SHORTEST_OVERSLEEP, LONGEST_OVERSLEEP)

    def _pool_child(self) -> psutil.Process | None:
        worker = self._stack.part("worker")
        if worker is None:
            return None
        try:
            children = [child for child in worker.children() if is_alive(child)]
        except psutil.NoSuchProcess:
            return None
        return self._rng.choice(children) if children else None

    def _kill(self, kind: str, process: psutil.Process | None, number: signal.Signals = signal.SIGKILL) -> Fault | None:
        if process is None:
            return None
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return None
        if not holds_within(DEATH_SECONDS, lambda: not is_alive(process)):
            return None
        return Fault(self._now(), kind, process.pid)

    def _freeze(self, kind: str, processes: Sequence[psutil.Process], seconds: float) -> Fault | None:
        timer = threading.Timer(seconds, _wake, [processes])
        timer.daemon = True
        self._frozen.append((timer, processes))  # before the first is stopped: nobody may be forgotten
        timer.start()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        stopped = bool(processes) and holds_within(1, lambda: _is_stopped(processes[0]))
        return Fault(self._now(), kind, processes[0].pid, round(seconds, 2)) if stopped else None

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 2)


def _wake(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
