"""One attempt of a processor on local files: checked, limited, isolated and told as a worker does it."""

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from helixnet.errors import Invalid
from helixnet.local.context import Artifact, Event, LocalContext, Show
from helixnet.local.inputs import LocalInput
from helixnet.processors.base import Processor
from helixnet.processors.registry import check_files, check_inputs, parse_params
from helixnet.worker import failure
from helixnet.worker.calling import call, to_json
from helixnet.worker.failure import Failure
from helixnet.worker.isolation.run import Isolation

RESULT = "result.json"
STAGING_PREFIX = ".helix-run-"
# What hears of its end has ended by then; a thread or an event loop that is held up has not.
ENDING_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRun:
    """How a run ended: with a `result` (JSON), or with a `failure`.

    `artifacts` are the files written beside result.json, by name. `seconds` is how long the work took. `left_running`
    says that the function did not end when its time was over, as no worker would let it: it ends with this process.
    """

    result: Any = None
    failure: Failure | None = None
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    seconds: float = 0.0
    left_running: bool = False

    @property
    def error(self) -> dict[str, Any] | None:
        """What the job would show of its failure: `kind`, `message`, perhaps `details`, and more; None for a result."""
        return None if self.failure is None else self.failure.error


def run(
    processor: Processor,
    files: Mapping[str, Path] | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    out: Path,
    show: Show | None = None,
    time_limit: timedelta | None = None,
) -> LocalRun:
    """Run a processor once on `files` (by role), and wait for its end.

    `out` is a folder, made if there is none: a run that succeeds leaves result.json and its artifacts there, over files
    of these names; one that fails leaves nothing. `show` is called with progress, log lines and text as they come, in
    another thread. `time_limit` takes the place of the processor's own.

    Raises Invalid or TooLarge for what would be refused when it is submitted, and OSError when a file can't be read or
    the folder can't be written.
    """
    parsed = parse_params(processor, dict(params or {}))
    given = files or {}
    check_inputs(processor, given)
    inputs = {role: LocalInput.open(role, path) for role, path in given.items()}
    check_files(processor, inputs)
    out.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=out))
    try:
        context = LocalContext(dict(inputs), staging, show or _ignore)
        ended = _Attempt(processor, context, parsed, time_limit or processor.time_limit).run()
        return ended if ended.failure is not None else _kept(ended, inputs, staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


class _Attempt:
    """An attempt in a thread with an event loop of its own: whatever the processor holds up, its limit is kept."""

    def __init__(self, processor: Processor, context: LocalContext, params: BaseModel, limit: timedelta) -> None:
        self._processor = processor
        self._context = context
        self._params = params
        self._limit = limit
        self._ended = Future[LocalRun]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[object] | None = None
        self._out_of_time = False

    def run(self) -> LocalRun:
        begun = time.monotonic()
        thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="helix-local-run", daemon=True)
        thread.start()
        try:
            ended = self._ended.result(self._limit.total_seconds() + ENDING_SECONDS)
        except TimeoutError:
            return self._over_time(left_running=True)
        except KeyboardInterrupt:
            self._stop()
            thread.join(ENDING_SECONDS)
            raise
        seconds = time.monotonic() - begun
        thread.join(ENDING_SECONDS)
        return replace(ended, seconds=seconds, left_running=thread.is_alive())

    def _stop(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has closed meanwhile
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def _cancel_late(self) -> None:
        self._out_of_time = True
        self._cancel()

    async def _run(self) -> None:
        try:
            self._ended.set_result(await self._outcome())
        except BaseException as error:  # noqa: BLE001 - it is raised where the end is waited for
            self._ended.set_exception(error)

    async def _outcome(self) -> LocalRun:
        self._loop = asyncio.get_running_loop()
        isolation = Isolation()
        self._work = asyncio.create_task(call(self._processor, self._context, self._params, isolation))
        limit = self._loop.call_later(self._limit.total_seconds(), self._cancel_late)
        try:
            result = orjson.loads(to_json(await self._work))
        except asyncio.CancelledError:
            if self._out_of_time:
                return self._over_time()
            return self._failed(RuntimeError("The processor cancelled itself."))
        except Exception as error:  # noqa: BLE001 - whatever a processor raises is an outcome
            return self._over_time() if self._out_of_time else self._failed(error)
        finally:
            limit.cancel()
            await self._context.close()
            await isolation.close()
        return LocalRun(result=result, artifacts=self._context.artifacts)

    def _failed(self, error: BaseException) -> LocalRun:
        return LocalRun(failure=failure.failed(error, self._processor.name))

    def _over_time(self, *, left_running: bool = False) -> LocalRun:
        return LocalRun(failure=failure.time_limit(self._limit, self._processor.name), left_running=left_running)


def _kept(ended: LocalRun, inputs: Mapping[str, LocalInput], staging: Path, out: Path) -> LocalRun:
    """The run with its files in `out`. Raises Invalid when one of them is an input."""
    (staging / RESULT).write_bytes(to_json(ended.result))
    for name in (*ended.artifacts, RESULT):
        target = out / name
        if any(target.resolve() == one.stands_at for one in inputs.values()):
            raise Invalid(f"{target} is an input, and would be written over: name another folder for what comes out.")
    artifacts = {}
    for name, artifact in ended.artifacts.items():
        artifacts[name] = replace(artifact, path=artifact.path.replace(out / name))
    (staging / RESULT).replace(out / RESULT)
    return replace(ended, artifacts=artifacts)


def _ignore(_event: Event) -> None:
    return None
