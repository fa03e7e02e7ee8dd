"""Procrastinate: `configure_task(...).batch_defer_async`, and two workers of a concurrency of their own."""

import asyncio
import os
import sys

from procrastinate import App, PsycopgConnector

from benchmarks.dialogue import say_ready, serve

# A thousand jobs for each statement; a worker with several jobs at once overlaps its waits for the database.
BATCH = 1000
CONCURRENCY = 10

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_DATABASE_URL"], min_size=4, max_size=CONCURRENCY + 2))


@app.task(name="noop", queue="bench")
async def noop() -> None:
    """Nothing."""


async def worker() -> None:
    async with app.open_async():
        say_ready()
        await app.run_worker_async(
            queues=["bench"], concurrency=CONCURRENCY, listen_notify=True, update_heartbeat_interval=10
        )


async def submit(count: int) -> None:
    for start in range(0, count, BATCH):
        await app.configure_task("noop", queue="bench").batch_defer_async(
            *({} for _ in range(min(BATCH, count - start)))
        )


async def setup() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


def main(command: str, _number: str = "") -> None:
    if command == "setup":
        asyncio.run(setup())
    elif command == "worker":
        asyncio.run(worker())
    else:
        with asyncio.Runner() as runner:
            runner.run(app.open_async().__aenter__())
            serve(lambda count: runner.run(submit(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
