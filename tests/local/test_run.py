"""A processor on local files: checked, limited, isolated and told as on a worker."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from pydantic import BaseModel

from helixnet.errors import Invalid, TooLarge
from helixnet.local import Event, Line, Progress, Text, run
from helixnet.processors import BlockingContext, JobContext, NoParams, Processor, Retry
from helixnet.processors.core import PROCESSORS
from tests.local import isolated

CORE = {processor.name: processor for processor in PROCESSORS}


class Params(BaseModel):
    times: int = 1


async def copy(context: JobContext, params: Params) -> dict[str, Any]:
    """Write the input as an artifact, telling everything that there is to tell."""
    source = context.inputs["content_key"]
    await context.progress(0.25, "reading")
    await context.log("copying", size=source.size)
    await context.output("piece ")
    await context.output("by piece")
    (context.scratch / "mark").write_text("here")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(params.times):
            async for piece in source.stream():
                yield piece

    key = await context.write("copy.txt", pieces(), "text/plain")
    return {"key": key, "sha256": source.sha256, "scratch": str(context.scratch), "path": str(await source.path())}


def processor(function: Any, **more: Any) -> Processor:
    inputs = isolated.INPUTS
    return Processor(name="acme.test", version="1", description="A test.", run=function, **{"inputs": inputs} | more)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("hello")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_result_and_artifacts_are_left_in_the_folder_and_nothing_else(file: Path, out: Path) -> None:
    ended = run(processor(copy, params=Params), {"content_key": file}, {"times": 2}, out=out)

    assert ended.error is None
    assert names(out) == {"copy.txt", "result.json"}
    assert orjson.loads((out / "result.json").read_bytes()) == ended.result
    assert ended.artifacts["copy.txt"].path.read_text() == "hellohello"
    assert ended.artifacts["copy.txt"].sha256 == hashlib.sha256(b"hellohello").hexdigest()
    assert (ended.artifacts["copy.txt"].media_type, ended.artifacts["copy.txt"].size) == ("text/plain", 10)
    assert ended.result["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert ended.result["path"] == str(file)
    assert not Path(ended.result["scratch"]).exists()


def test_what_a_processor_tells_is_shown_as_it_comes(file: Path, out: Path) -> None:
    events: list[Event] = []

    run(processor(copy, params=Params), {"content_key": file}, out=out, show=events.append)

    assert events == [Progress(0.25, "reading"), Line("copying", {"size": "5"}), Text("piece "), Text("by piece")]


@pytest.mark.parametrize("one", [processor(isolated.copy), isolated.COPY], ids=lambda one: one.isolation)
def test_a_plain_function_runs_where_its_isolation_says(one: Processor, file: Path, out: Path) -> None:
    ended = run(one, {"content_key": file}, out=out)

    assert ended.error is None
    assert ended.result["content"] == "hello"
    assert (ended.result["pid"] == os.getpid()) is (one.isolation == "inline")
    assert ended.artifacts["copy.txt"].path.read_text() == "hello"


def test_what_would_be_refused_is_refused(file: Path, out: Path, tmp_path: Path) -> None:
    picture, large = tmp_path / "a.png", tmp_path / "large.txt"
    picture.write_bytes(b"png")
    large.write_bytes(b"x" * 1001)
    one = processor(copy, params=Params)

    for files, error, words in (
        ({}, Invalid, "acme.test needs content_key"),
        ({"content_key": file, "other_key": file}, Invalid, "does not read other_key"),
        ({"content_key": tmp_path / "none.txt"}, Invalid, "content_key: there is no file"),
        ({"content_key": tmp_path}, Invalid, "is not a file"),
        ({"content_key": picture}, Invalid, r"can't read a.png \(image/png\)"),
        ({"content_key": large}, TooLarge, "large.txt has 1,001 bytes"),
    ):
        with pytest.raises(error, match=words):
            run(one, files, out=out)
    with pytest.raises(Invalid, match=r"do not fit acme\.test"):
        run(one, {"content_key": file}, {"times": "many"}, out=out)
    assert not out.exists()


async def retry(_context: JobContext, _params: NoParams) -> None:
    raise Retry("The server is busy.")


def leave(_context: BlockingContext, _params: NoParams) -> None:
    raise SystemExit(3)


async def no_json(_context: JobContext, _params: NoParams) -> object:
    return object()


async def reserved(context: JobContext, _params: NoParams) -> None:
    await context.write("../escape.txt", b"")


@pytest.mark.parametrize(
    ("one", "kind", "words"),
    [
        (processor(isolated.reject), "input", "The file is no table."),
        (isolated.REJECT, "input", "The file is no table."),
        (processor(retry), "upstream", "The server is busy."),
        (isolated.CRASH, "bug", "SIGABRT"),
        (processor(leave), "bug", "SystemExit"),
        (processor(no_json), "bug", "not JSON serializable"),
        (processor(reserved), "bug", "can't be the name of an artifact"),
    ],
    ids=lambda value: f"{value.run.__name__}-{value.isolation}" if isinstance(value, Processor) else "",
)
def test_a_failure_is_told_as_a_worker_tells_it(one: Processor, kind: str, words: str, file: Path, out: Path) -> None:
    ended = run(one, {"content_key": file}, out=out)

    assert ended.error is not None
    assert ended.error["kind"] == kind
    assert words in ended.error["message"]
    assert ended.error.get("details") == ({"line": 3} if kind == "input" else None)
    assert names(out) == set()


def busy(context: BlockingContext, _params: NoParams) -> None:
    while not context.cancelled:
        time.sleep(0.01)


async def waits(_context: JobContext, _params: NoParams) -> None:
    await asyncio.sleep(600)


@pytest.mark.parametrize("function", [waits, busy])
def test_the_time_limit_is_kept(function: Any, file: Path, out: Path) -> None:
    limited = processor(function, time_limit=timedelta(seconds=0.3))

    ended = run(limited, {"content_key": file}, out=out)

    assert ended.error is not None
    assert (ended.error["kind"], ended.error["type"]) == ("limit", "TimeLimit")
    assert not ended.left_running


def test_an_isolated_process_is_killed_when_its_time_is_over(file: Path, out: Path) -> None:
    events: list[Event] = []

    ended = run(isolated.ENDLESS, {"content_key": file}, out=out, show=events.append)

    assert ended.error is not None
    assert (ended.error["kind"], ended.error["type"]) == ("limit", "TimeLimit")
    assert not ended.left_running
    (begun,) = events
    assert isinstance(begun, Line)
    assert not psutil.pid_exists(int(begun.fields["pid"]))


def test_a_function_that_holds_up_everything_is_given_up_and_said_to_run_on(out: Path) -> None:
    ended = run(
        CORE["core.sleep"], params={"seconds": 5, "stubborn": "loop"}, out=out, time_limit=timedelta(seconds=0.2)
    )

    assert ended.error is not None
    assert ended.error["type"] == "TimeLimit"
    assert ended.left_running


async def write_over(context: JobContext, _params: NoParams) -> None:
    await context.write("words.txt", b"gone")


def test_an_input_is_never_written_over(file: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"words\.txt is an input"):
        run(processor(write_over), {"content_key": file}, out=tmp_path)

    assert file.read_text() == "hello"
    assert names(tmp_path) == {"words.txt"}
