"""Processors for a process of their own: they are found by their module, so they stand in one that imports little."""

import os
from datetime import timedelta
from typing import Any

from helixnet.processors import BlockingContext, InputRole, JobContext, NoParams, Processor, Reject


def copy(context: BlockingContext, _params: NoParams) -> dict[str, Any]:
    context.progress(1, "done")
    context.write("copy.txt", context.inputs["content_key"].path(), "text/plain")
    return {"pid": os.getpid(), "content": context.inputs["content_key"].read(100).decode()}


async def reject(context: JobContext, _params: NoParams) -> None:
    await context.write("half.txt", b"half")
    raise Reject("The file is no table.", line=3)


def crash(_context: BlockingContext, _params: NoParams) -> None:
    os.abort()


def endless(context: BlockingContext, _params: NoParams) -> None:
    context.log("begun", pid=os.getpid())
    while True:
        pass


INPUTS = {"content_key": InputRole("A text.", media_types=("text/*",), max_bytes=1000)}
PROCESSORS = {
    function.__name__: Processor(
        name=f"acme.{function.__name__}",
        version="1",
        description="A test.",
        run=function,
        inputs=INPUTS,
        isolation="process",
        time_limit=timedelta(seconds=4),
    )
    for function in (copy, reject, crash, endless)
}
COPY, REJECT, CRASH, ENDLESS = PROCESSORS.values()
