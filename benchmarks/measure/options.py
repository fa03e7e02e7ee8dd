"""How much is measured: the full size, and a tiny one that shows in seconds that the program works."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Options:
    """Counts and sizes; times in seconds, sizes in bytes."""

    runs: int = 5
    brokers: tuple[str, ...] = ("valkey", "rabbitmq")
    peers: bool = True
    # No-op jobs of a batch: about three seconds of work for each contestant on two cores.
    jobs: dict[str, int] = field(
        default_factory=lambda: {
            "helixnet": 30_000,
            "celery_bare": 5_000,
            "celery_rows": 3_000,
            "procrastinate": 3_000,
            "pgqueuer": 5_000,
            "dbos": 1_000,
            "prefect": 60,
        }
    )
    warm_up: int = 200
    connections: int = 16
    load_seconds: float = 4
    latency_jobs: int = 100
    upload_bytes: int = 256 * 1024**2
    few_jobs: int = 10_000
    many_jobs: int = 2_000_000
    list_requests: int = 200
    few_waiting: int = 1_000
    many_waiting: int = 1_000_000
    claims: int = 200
    cost_jobs: int = 20_000
    start_again: bool = True
    isolated_starts: int = 40
    table_bytes: int = 1_000_000_000


SMOKE = Options(
    runs=1,
    brokers=("valkey",),
    peers=False,
    jobs={"helixnet": 200, "celery_bare": 100, "celery_rows": 100},
    warm_up=10,
    connections=4,
    load_seconds=0.3,
    latency_jobs=3,
    upload_bytes=2 * 1024**2,
    few_jobs=100,
    many_jobs=1_000,
    list_requests=10,
    few_waiting=100,
    many_waiting=1_000,
    claims=10,
    cost_jobs=100,
    start_again=False,
    isolated_starts=2,
    table_bytes=2_000_000,
)
