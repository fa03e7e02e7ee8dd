"""The peers as contestants, each in the environment of `requirements/bench.txt`."""

import os
import subprocess
from pathlib import Path
from typing import LiteralString

from benchmarks.contestants import BATCH_SECONDS, PROCESSES, Contestant
from benchmarks.ground import Ground
from benchmarks.helix import free_port
from benchmarks.processes import ROOT, Group, Process, Submitted

ENVIRONMENT_VARIABLE = "HELIX_BENCH_PEERS"
VENV = Path(".venv-bench")


def python() -> Path:
    """The Python that has the peers."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or ROOT / VENV) / "bin" / "python"


class Peer(Contestant):
    """A peer: `benchmarks.peers.<key>_peer` with the commands `setup`, `serve`, `worker` and `submit`."""

    workers = PROCESSES  # one command each
    serves = False  # has a server of its own beside the workers

    def __init__(self, ground: Ground, jobs: int) -> None:
        super().__init__(ground, jobs)
        self.database = f"peer_{self.key}"

    def _begin(self, processes: Group) -> None:
        assert self.database is not None
        environment = self.ground.environment(
            BENCH_DATABASE_URL=self.ground.fresh_database(self.database),
            BENCH_FOLDER=str(self.ground.folder),
            BENCH_PORT=str(free_port()),
        )
        log = self.ground.log(self.key)
        command = [str(python()), "-m", f"benchmarks.peers.{self.key}_peer"]
        Process([*command, "setup"], environment, log).run_to_end()
        if self.serves:
            processes.add(Process([*command, "serve"], environment, log, talks=True)).wait_ready()
        workers = [
            processes.add(Process([*command, "worker", str(number)], environment, log, talks=True))
            for number in range(self.workers)
        ]
        self._submitter = processes.add(Process([*command, "submit"], environment, log, talks=True))
        for process in (*workers, self._submitter):
            process.wait_ready()

    def submit(self, count: int) -> Submitted:
        return self._submitter.submit(count, BATCH_SECONDS)

    @staticmethod
    def installed(name: str) -> bool:
        """Whether the environment of the peers has a package."""
        if not python().exists():
            return False
        command = [str(python()), "-c", f"import {name}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @classmethod
    def not_installed(cls, ground: Ground) -> list[tuple["Peer", str]]:
        """The peers that are missing, each with what the report says of it."""
        return [(kind(ground, 0), "not installed") for kind in KINDS if not cls.installed(kind.key)]


class Procrastinate(Peer):
    key = "procrastinate"
    title = "Procrastinate"
    open_jobs: LiteralString = "SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE status <> 'succeeded')"
    done_jobs: LiteralString = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"


class PgQueuer(Peer):
    key = "pgqueuer"
    title = "PgQueuer"
    open_jobs: LiteralString = "SELECT EXISTS (SELECT 1 FROM pgqueuer)"
    done_jobs: LiteralString = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"


class Dbos(Peer):
    key = "dbos"
    title = "DBOS"
    open_jobs: LiteralString = "SELECT EXISTS (SELECT 1 FROM dbos.workflow_status WHERE status <> 'SUCCESS')"
    done_jobs: LiteralString = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"


class Prefect(Peer):
    key = "prefect"
    title = "Prefect"
    serves = True
    open_jobs: LiteralString = "SELECT EXISTS (SELECT 1 FROM task_run WHERE state_type <> 'COMPLETED')"
    done_jobs: LiteralString = "SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'"


KINDS: tuple[type[Peer], ...] = (Procrastinate, PgQueuer, Dbos, Prefect)


def peers(ground: Ground, jobs: dict[str, int]) -> list[Contestant]:
    """The peers that are installed."""
    return [kind(ground, jobs[kind.key]) for kind in KINDS if Peer.installed(kind.key)]
