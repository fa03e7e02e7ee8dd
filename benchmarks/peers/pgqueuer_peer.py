"""PgQueuer on psycopg or asyncpg: `Queries.enqueue` with lists, and two consumers that take jobs in batches."""

import asyncio
import os
import sys
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

from benchmarks.dialogue import say_ready, serve

# Its own benchmark dequeues ten at a time by default; more makes it faster here.
DEQUEUE = 100
BATCH = 1000


async def connect() -> asyncpg.Connection:
    return await asyncpg.connect(os.environ["BENCH_DATABASE_URL"])


async def setup() -> None:
    await Queries(AsyncpgDriver(await connect())).install()


async def worker() -> None:
    consumer = PgQueuer(AsyncpgDriver(await connect()))

    @consumer.entrypoint("noop")
    async def noop(job: Job) -> None:
        """Nothing."""

    say_ready()
    await consumer.run(dequeue_timeout=timedelta(seconds=30), batch_size=DEQUEUE)


async def submit(queries: Queries, count: int) -> None:
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        await queries.enqueue(["noop"] * size, [None] * size, [0] * size)


def main(command: str, _number: str = "") -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if command == "setup":
            runner.run(setup())
        elif command == "worker":
            runner.run(worker())
        else:
            queries = Queries(AsyncpgDriver(runner.run(connect())))
            serve(lambda count: runner.run(submit(queries, count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
