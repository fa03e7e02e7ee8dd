"""HelixNet as a contestant: web, worker with two processes and beat, everything of the ledger on."""

from benchmarks import helix, wire
from benchmarks.contestants import BATCH_SECONDS, PROCESSES, Contestant
from benchmarks.ground import VALKEY, Broker, Ground
from benchmarks.processes import Group, Process, Submitted


class HelixNet(Contestant):
    """Batches go through `POST /api/v1/jobs/batch`, as a user's would."""

    open_jobs = "SELECT EXISTS (SELECT 1 FROM jobs WHERE status <> 'COMPLETED')"
    done_jobs = "SELECT count(*) FROM jobs WHERE status = 'COMPLETED'"

    def __init__(self, ground: Ground, jobs: int, broker: Broker) -> None:
        super().__init__(ground, jobs)
        self.broker = broker
        self.key = f"helixnet_{broker.name}"
        self.title = f"HelixNet ({broker.title})"
        self.database = "helix_race"
        self._rings: helix.Rings | None = None

    def _begin(self, processes: Group) -> None:
        self._rings = helix.Rings(self.broker)
        assert self.database is not None
        url = helix.database(self.ground, self.database)
        environment = helix.environment(self.ground, url, self.broker)
        _web, port = helix.start_web(self.ground, processes, environment, self.ground.log("helix_web"))
        helix.start_workers(self.ground, processes, environment, self.ground.log("helix_worker"), PROCESSES)
        token = wire.run(lambda: wire.sign_in(port))
        command = self.ground.python("benchmarks.helix_submit")
        values = self.ground.environment(BENCH_PORT=str(port), BENCH_TOKEN=token)
        self._submitter = processes.add(Process(command, values, self.ground.log(self.key), talks=True))
        self._submitter.wait_ready()

    def submit(self, count: int) -> Submitted:
        return self._submitter.submit(count, BATCH_SECONDS)

    def _clean(self) -> None:
        if self._rings is not None:
            self._rings.forget()
            self._rings = None
        if self.broker.name == VALKEY:
            self.ground.flush_valkey()
