"""The call of a processor, in the way that its function and its isolation ask for, and its result as JSON."""

import asyncio
import inspect

import orjson
from pydantic import BaseModel

from helixnet.processors.base import Processor
from helixnet.processors.context import JobContext
from helixnet.worker.blocking import Blocking
from helixnet.worker.isolation.run import Isolation


async def call(processor: Processor, context: JobContext, params: BaseModel, isolation: Isolation) -> object:
    """What the processor returns; raises what it raises, and for what would end this process a RuntimeError."""
    if processor.isolation == "process":
        return await isolation.run(processor, context, params)
    try:
        if inspect.iscoroutinefunction(processor.run):
            return await processor.run(context, params)
        return await _in_a_thread(processor, context, params)
    except (SystemExit, KeyboardInterrupt) as error:
        # It would end the worker process, and the jobs behind it with it.
        raise RuntimeError(f"The processor raised {type(error).__name__}.") from error


def to_json(result: object) -> bytes:
    """A result as JSON; raises TypeError when it is none."""
    value = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
    return orjson.dumps(value)


async def _in_a_thread(processor: Processor, context: JobContext, params: BaseModel) -> object:
    """Run a plain function; one that is told to stop, and does not, is ended with its process."""
    blocking = Blocking(context, asyncio.get_running_loop())
    try:
        return await asyncio.to_thread(processor.run, blocking, params)
    finally:
        blocking.stop()
