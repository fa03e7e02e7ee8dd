"""Processors for tests and drills, known in the development profile only: echo, sleep, fail, spawn."""

import asyncio
import os
import subprocess
import sys
import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from helixnet.processors.base import OverLimit, ProcessLimits, Processor, Reject, Retry, UpstreamFailed
from helixnet.processors.context import JobContext

STEP_SECONDS = 0.1
# A program that leaves its parent's process group and session and is nobody's child: it prints its number first.
DETACHED = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
print(os.getpid(), flush=True)
os.dup2(os.open(os.devnull, os.O_RDWR), 1)
time.sleep(float(sys.argv[1]))
"""


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EchoParams(_Params):
    message: Annotated[str, Field(max_length=1_000_000, description="What comes back.")] = ""


class SleepParams(_Params):
    seconds: Annotated[float, Field(ge=0, le=86_400, description="How long to sleep, in seconds.")] = 1
    stubborn: Annotated[
        Literal["thread", "loop"] | None,
        Field(description="Don't hear of being told to stop: in a thread of its own, or holding up the event loop."),
    ] = None
    aloud: Annotated[str, Field(max_length=1000, description="A piece of text to show at every step.")] = ""


class FailParams(_Params):
    kind: Annotated[
        Literal["error", "reject", "limit", "upstream", "retry"],
        Field(description="An exception, one of the three rejections, or a request to retry."),
    ] = "error"
    times: Annotated[int, Field(ge=0, description="Fail on this many attempts, then succeed; 0 means always.")] = 0
    leaves_seconds: Annotated[
        float, Field(ge=0, le=86_400, description="Leave a thread behind that is at work for so long, in seconds.")
    ] = 0


class SpawnParams(_Params):
    processes: Annotated[int, Field(ge=0, le=20, description="How many processes to start.")] = 2
    detached: Annotated[int, Field(ge=0, le=20, description="And how many that leave their parent and session.")] = 2
    seconds: Annotated[float, Field(ge=0, le=86_400, description="How long all of them sleep, in seconds.")] = 1


async def echo(_context: JobContext, params: EchoParams) -> dict[str, str]:
    return {"message": params.message}


async def sleep(context: JobContext, params: SleepParams) -> dict[str, float]:
    """Sleep in short steps, telling how far it is about once a second; or stubbornly in one."""
    match params.stubborn:
        case "thread":
            await asyncio.to_thread(time.sleep, params.seconds)
            return {"slept_seconds": params.seconds}
        case "loop":
            time.sleep(params.seconds)  # noqa: ASYNC251 - the bad manners that the drill is about
            return {"slept_seconds": params.seconds}
    loop = asyncio.get_running_loop()
    start = told = loop.time()
    while (slept := loop.time() - start) < params.seconds:
        if loop.time() - told >= 1:
            told = loop.time()
            await context.progress(slept / params.seconds, f"slept {slept:.0f} of {params.seconds:g} s")
        if params.aloud:
            await context.output(params.aloud)
        await asyncio.sleep(min(STEP_SECONDS, params.seconds - slept))
    return {"slept_seconds": params.seconds}


async def spawn(context: JobContext, params: SpawnParams) -> dict[str, list[int]]:
    """Start processes, log their numbers, and hear of nothing while they sleep."""
    program = "import sys, time; time.sleep(float(sys.argv[1]))"
    seconds = str(params.seconds)
    pids = [os.getpid()]
    for _ in range(params.processes):
        pids.append(subprocess.Popen([sys.executable, "-c", program, seconds]).pid)  # noqa: ASYNC220, PERF401, S603
    for _ in range(params.detached):
        command = [sys.executable, "-c", DETACHED, seconds]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as started:  # noqa: ASYNC220, S603
            assert started.stdout is not None  # noqa: S101 - asked for above
            pids.append(int(started.stdout.readline()))
    await context.log("started processes", pids=" ".join(str(pid) for pid in pids))
    time.sleep(params.seconds)  # noqa: ASYNC251 - the bad manners that the drill is about
    return {"pids": pids}


async def fail(context: JobContext, params: FailParams) -> dict[str, int]:
    if params.times and context.attempt > params.times:
        return {"failures": params.times}
    if params.leaves_seconds:
        asyncio.get_running_loop().run_in_executor(None, time.sleep, params.leaves_seconds)
    match params.kind:
        case "reject":
            raise Reject("This job was asked to be rejected.")
        case "limit":
            raise OverLimit("This job was asked to ask for too much.")
        case "upstream":
            raise UpstreamFailed("This job was asked to be refused by somebody outside.")
        case "retry":
            raise Retry("This job was asked to be tried again.")
        case "error":
            raise RuntimeError("This job was asked to fail.")


PROCESSORS = (
    Processor(
        name="core.echo",
        version="1",
        description="Answers its message.",
        run=echo,
        params=EchoParams,
        development_only=True,
    ),
    Processor(
        name="core.sleep",
        version="1",
        description="Sleeps for a while, and stops at once when told to.",
        run=sleep,
        params=SleepParams,
        development_only=True,
    ),
    Processor(
        name="core.fail",
        version="1",
        description="Fails in the way that it is asked to.",
        run=fail,
        params=FailParams,
        development_only=True,
    ),
    Processor(
        name="core.spawn",
        version="1",
        description="Starts processes that try to get away, and does not hear of being told to stop.",
        run=spawn,
        params=SpawnParams,
        isolation="process",
        limits=ProcessLimits(processes=100),
        development_only=True,
    ),
)
