"""The floors over HTTP: FastAPI routes that do the least, by hand. Served by uvicorn with the options of `helix web`.

`POST /jobs` inserts one row; `POST /tasks` inserts it and sends the Celery task of floor (b); `GET /tasks/{id}` shows
its state; `PUT /uploads` streams its body to a file.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from psycopg.types.json import Json
from pydantic import BaseModel, Field

from benchmarks.dialogue import say_ready
from benchmarks.floors.celery_app import app as celery
from benchmarks.floors.celery_app import recorded

INSERT = "INSERT INTO jobs (status, params) VALUES ('PENDING', %s) RETURNING id"
SELECT = "SELECT status FROM jobs WHERE id = %s"
CONNECTIONS = 10
BLOCK = 1024**2
FOLDER = Path(os.environ["BENCH_FOLDER"])


class Submission(BaseModel):
    processor: str
    params: dict[str, Any] = Field(default_factory=dict)


class Accepted(BaseModel):
    job_id: int
    status: str


class Pool:
    """Open connections, the last used first; each statement commits by itself."""

    def __init__(self) -> None:
        self._idle: asyncio.LifoQueue[psycopg.AsyncConnection[Any]] = asyncio.LifoQueue()

    async def open(self) -> None:
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(
                await psycopg.AsyncConnection.connect(
                    os.environ["BENCH_DATABASE_URL"], autocommit=True, prepare_threshold=0
                )
            )

    async def close(self) -> None:
        while not self._idle.empty():
            await self._idle.get_nowait().close()

    async def value(self, statement: str, value: object) -> Any:
        """Execute a statement of one parameter that answers with one value."""
        connection = await self._idle.get()
        try:
            row = await (await connection.execute(statement, [value])).fetchone()
            return row[0] if row else None
        finally:
            self._idle.put_nowait(connection)


pool = Pool()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await pool.open()
    say_ready()
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


def send(job_id: int) -> None:
    with celery.producer_pool.acquire(block=True) as producer:
        recorded.apply_async((job_id,), producer=producer, retry=False)


@app.post("/jobs", status_code=201)
async def submit(submission: Submission) -> Accepted:
    return Accepted(job_id=await pool.value(INSERT, Json(submission.params)), status="PENDING")


@app.post("/tasks", status_code=201)
async def submit_task(submission: Submission) -> Accepted:
    job_id = await pool.value(INSERT, Json(submission.params))
    await run_in_threadpool(send, job_id)
    return Accepted(job_id=job_id, status="PENDING")


@app.get("/tasks/{job_id}")
async def show_task(job_id: int) -> Accepted:
    return Accepted(job_id=job_id, status=await pool.value(SELECT, job_id))


@app.put("/uploads", status_code=201)
async def upload(request: Request) -> dict[str, int]:
    size = 0
    block = bytearray()
    with (FOLDER / f"{uuid4().hex}.bin").open("wb", buffering=0) as file:
        async for chunk in request.stream():
            block += chunk
            if len(block) >= BLOCK:
                size += await run_in_threadpool(file.write, block)
                block = bytearray()
        size += await run_in_threadpool(file.write, block)
    return {"size": size}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False)
