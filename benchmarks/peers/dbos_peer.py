"""DBOS: workflows on a queue, enqueued by its client in transactions of a hundred, run by two processes."""

import os
import sys
import threading

import sqlalchemy
from dbos import DBOS, DBOSClient

from benchmarks.dialogue import say_ready, serve

URL = os.environ["BENCH_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
QUEUE = "bench"
BATCH = 100
# The default asks once a second; more at once than this only makes its threads wait for each other.
POLLING_SECONDS = 0.05
CONCURRENCY = 20


def launch(executor: str) -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": URL,
            "application_version": "1",
            "executor_id": executor,
            "log_level": "WARNING",
            "max_executor_threads": CONCURRENCY,
        }
    )

    @DBOS.workflow(name="noop")
    def noop() -> None:
        """Nothing."""

    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=CONCURRENCY, polling_interval_sec=POLLING_SECONDS)


def worker(number: str) -> None:
    launch(f"worker-{number}")
    say_ready()
    threading.Event().wait()


def submit() -> None:
    engine = sqlalchemy.create_engine(URL)
    client = DBOSClient(system_database_engine=engine)
    options = {"workflow_name": "noop", "queue_name": QUEUE, "app_version": "1"}

    def enqueue(count: int) -> None:
        for start in range(0, count, BATCH):
            with engine.begin() as connection:
                for _ in range(min(BATCH, count - start)):
                    client.enqueue_in_transaction(connection, options)

    serve(enqueue)


def main(command: str, number: str = "") -> None:
    if command == "setup":
        launch("setup")
        DBOS.destroy()
    elif command == "worker":
        worker(number)
    else:
        submit()


if __name__ == "__main__":
    main(*sys.argv[1:])
