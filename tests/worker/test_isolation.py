"""Processors in processes of their own: real processes, a real database and real storage."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from helixnet.errors import TooLarge
from helixnet.processors import OverLimit, Reject, Retry, registry
from helixnet.processors.core import SpawnParams
from helixnet.worker.isolation import launcher
from helixnet.worker.isolation.errors import ProcessorFailed
from tests.conftest import is_alive, wait_until
from tests.worker.isolated import (
    DIGEST,
    END,
    FILES,
    GARBAGE,
    LOOK,
    MEBIBYTE,
    PLAIN,
    PRELOADED,
    WRITE,
    Params,
    peak_memory,
)
from tests.worker.isolating import IsolatedBench

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


async def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """What an asynchronous condition answers, once it is something."""
    end = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < end, f"after {seconds:g} s still not: {what}"
        await asyncio.sleep(0.02)
    return found


def running(pids: str) -> list[psutil.Process]:
    return [process for process in map(psutil.Process, map(int, pids.split())) if is_alive(process)]


def templates() -> list[psutil.Process]:
    """The templates of this process."""
    return [each for each in psutil.Process().children() if "isolation.template" in " ".join(each.cmdline())]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(is_alive(process) for process in processes)


async def test_a_result_comes_back_with_its_parameters_and_its_job(bench: IsolatedBench) -> None:
    context = await bench.attempt()

    result: Any = await bench.isolation.run(LOOK, context, Params(how="ä\x00", n=7))

    assert result["params"] == ["ä\x00", 7]
    assert result["job"] == [str(context.job_id), 1]


async def test_the_process_finds_nothing_of_its_worker(bench: IsolatedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Path(__file__).open() as held:
        os.set_inheritable(held.fileno(), True)
        found = await bench.run(LOOK)

    allowed = {*launcher.ENVIRONMENT, *launcher.FIXED_ENVIRONMENT, "HOME", "TMPDIR"}
    assert set(found["environment"]) - allowed == set()
    assert "secret" not in found["started_with"]
    assert found["environment"]["TMPDIR"] == found["folder"]
    assert found["leads_its_session"]
    wait_until(lambda: not Path(found["folder"]).exists(), "its folder is removed", 5)
    assert found["descriptors"][:3] == ["null", "null", "p"], "its keeper hears what it says in the end"
    # One socket to the worker; a poll and its pair of sockets are those of its own event loop.
    assert sorted(found["descriptors"][3:]) == ["?", "s", "s", "s"]


async def test_an_input_of_any_size_streams_in_constant_memory(bench: IsolatedBench) -> None:
    async def peaks(mebibytes: int) -> tuple[int, int]:
        """The most memory that the worker and the isolated process take for an input, in bytes."""
        sha256 = hashlib.sha256()

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(mebibytes):
                piece = bytes([number % 256]) * MEBIBYTE
                sha256.update(piece)
                yield piece

        Path("/proc/self/clear_refs").write_text("5")  # proc_pid_clear_refs(5): forget the peak
        context = await bench.attempt(pieces())
        result: Any = await bench.isolation.run(DIGEST, context, Params())
        assert (result["size"], result["sha256"]) == (mebibytes * MEBIBYTE, sha256.hexdigest())
        return peak_memory(), result["peak"]

    await peaks(64)  # whatever is imported or kept for the first time
    worker, isolated = await peaks(64)
    more_in_worker, more_isolated = await peaks(256)

    # Of 192 more that went through: storage writes parts of 8 MiB, and how many are about at once is a matter of luck.
    assert more_in_worker - worker < 48 * MEBIBYTE
    assert more_isolated - isolated < 24 * MEBIBYTE


async def test_an_input_is_read_whole_up_to_a_limit(bench: IsolatedBench) -> None:
    content = os.urandom(3 * MEBIBYTE)

    result = await bench.run(DIGEST, content, how="read", n=len(content))
    with pytest.raises(Reject, match=r"a.txt has 3145728 bytes; at most 1000 can be processed\."):
        await bench.run(DIGEST, content, how="read", n=1000)

    assert result == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


async def test_artifacts_progress_and_log_arrive(bench: IsolatedBench) -> None:
    context = await bench.attempt()

    keys: Any = await bench.isolation.run(WRITE, context, Params(n=10))

    assert keys == [context.prefix + "small.txt", context.prefix + "large.bin"]
    assert await bench.blobs.get(keys[0], 100) == b"small"
    assert [(one.filename, one.size, one.media_type) for one in context.written] == [
        ("small.txt", 5, "text/plain"),
        ("large.bin", 20 * MEBIBYTE, "application/octet-stream"),
    ]
    assert await bench.events(context, "PROGRESS") == [{"fraction": 0.5, "message": "half of it"}]
    assert await bench.events(context, "LOG") == [{"message": "writing", "pieces": "10"}]


async def test_an_artifact_whose_source_breaks_is_not_stored(bench: IsolatedBench) -> None:
    context = await bench.attempt()

    with pytest.raises(ProcessorFailed, match="the source broke"):
        await bench.isolation.run(WRITE, context, Params(how="break", n=3))

    assert await bench.blobs.keys(context.prefix) == [context.prefix + "small.txt"]


async def test_a_plain_function_runs_with_calls_that_wait(bench: IsolatedBench) -> None:
    context = await bench.attempt(b"moon")

    result = await bench.isolation.run(PLAIN, context, Params())

    assert result == {"key": context.prefix + "copy", "content": "moon"}
    assert await bench.blobs.get(context.prefix + "copy", 100) == b"moon"
    assert await bench.events(context, "LOG") == [{"message": "read", "name": "a.txt"}]


async def test_an_input_is_a_file_where_a_library_wants_one(bench: IsolatedBench) -> None:
    context = await bench.attempt(b"moon")

    found: Any = await bench.isolation.run(FILES, context, Params())
    await context.close()

    assert found["content"] == "moon"
    assert Path(found["path"]) == (bench.blobs.folder or Path()) / context.inputs["content_key"].key
    assert await bench.blobs.get(context.prefix + "kept.txt", 100) == b"MOON"
    assert await bench.events(context, "OUTPUT") == [{"text": "as it "}, {"text": "comes"}]


async def test_outcomes_pass_as_they_are(bench: IsolatedBench) -> None:
    with pytest.raises(Reject) as rejected:
        await bench.run(END, how="reject")
    with pytest.raises(Retry) as retried:
        await bench.run(END, how="retry")
    with pytest.raises(OverLimit, match="Meant for the job"):
        await bench.run(END, how="group")
    with pytest.raises(TooLarge) as refused:
        await bench.run(END, how="too large")

    assert (rejected.value.reason, rejected.value.details) == ("Not this one.", {"line": 3})
    assert (retried.value.reason, retried.value.after) == ("Not now.", timedelta(seconds=90))
    assert (refused.value.message, refused.value.fields) == ("Over the limit.", {"limit": 7})


async def test_another_exception_passes_with_its_type_place_and_trace(bench: IsolatedBench) -> None:
    with pytest.raises(ProcessorFailed) as failed:
        await bench.run(END, how="error")

    assert (failed.value.kind, failed.value.type_name) == ("bug", "orjson.JSONDecodeError")
    assert failed.value.place == "tests.worker.isolated:end"
    assert 'orjson.loads(b"{")' in failed.value.trace


async def test_an_exception_without_words_passes_all_the_same(bench: IsolatedBench) -> None:
    with pytest.raises(ProcessorFailed) as failed:
        await bench.run(END, how="mute")

    assert (failed.value.type_name, failed.value.message) == ("tests.worker.isolated.Mute", "")


async def test_what_the_platform_refuses_is_told_to_the_processor(bench: IsolatedBench) -> None:
    with pytest.raises(ProcessorFailed, match="can't be the name of an artifact") as failed:
        await bench.run(END, how="bad name")

    assert failed.value.type_name == "ValueError"


async def test_a_failure_of_the_platform_is_raised_as_what_it_is(bench: IsolatedBench) -> None:
    context = await bench.attempt()
    async with bench.ledger.database.transaction() as session:
        await session.execute(text("ALTER TABLE job_events RENAME TO moved"))

    with pytest.raises(Exception, match='relation "job_events" does not exist'):
        await bench.isolation.run(WRITE, context, Params())


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("memory", "limit", "The work took more memory than it may."),
        ("cpu", "limit", "The work took more CPU time than it may."),
        ("file", "limit", "The work wrote a larger file than it may."),
        ("files", "limit", "The work opened more files than it may."),
        ("killed", "limit", "The process was killed by the system, most likely because memory ran out."),
        ("crash", "bug", "The process crashed: segmentation fault (SIGSEGV)."),
        ("exit", "bug", "The process ended by itself, with exit code 3."),
        ("fork", "bug", "The process ended by itself, with exit code 4."),
        ("kill the keeper", "bug", "[Errno 1] Operation not permitted"),
        ("not json", "bug", "Type is not JSON serializable: object"),
    ],
)
async def test_the_reason_of_a_death_is_told_in_plain_words(
    bench: IsolatedBench, how: str, kind: str, words: str
) -> None:
    with pytest.raises(ProcessorFailed) as failed:
        await bench.run(END, how=how)

    assert (failed.value.message, failed.value.kind) == (words, kind)
    assert (await bench.run(LOOK))["params"] == ["", 0], "the next attempt is none the worse"


@pytest.mark.parametrize(
    "how",
    [
        "noise",
        "long header",
        "long body",
        "no json",
        "no object",
        "no such request",
        "no number",
        "wrong types",
        "no such end",
        "wrong end",
        "false failure",
        "no result",
    ],
)
async def test_garbage_is_refused(bench: IsolatedBench, how: str) -> None:
    with pytest.raises(ProcessorFailed, match="The process sent what it may not") as failed:
        await bench.run(GARBAGE, how=how)

    assert failed.value.kind == "bug"


async def test_cancelling_ends_a_deaf_process_and_all_that_it_started(bench: IsolatedBench) -> None:
    context = await bench.attempt()
    spawn = registry.load(development=True).get("core.spawn")
    work = asyncio.create_task(bench.isolation.run(spawn, context, SpawnParams(processes=3, detached=3, seconds=300)))
    (line,) = await until(lambda: bench.events(context, "LOG"), "the processes are started")
    processes = running(line["pids"])
    before = time.monotonic()

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    took = time.monotonic() - before
    assert len(processes) == 7
    assert gone(processes), "on return none is left"
    assert took < 1


async def test_what_a_process_started_ends_with_it(bench: IsolatedBench) -> None:
    context = await bench.attempt()
    program = registry.load(development=True).get("core.spawn")

    result: Any = await bench.isolation.run(program, context, SpawnParams(processes=2, detached=2, seconds=0.5))

    assert len(result["pids"]) == 5
    assert not [pid for pid in result["pids"] if psutil.pid_exists(pid)]


def test_a_killed_worker_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "tests.worker.isolated"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        processes = [*running(worker.stdout.readline()), *psutil.Process(worker.pid).children(recursive=True)]

        worker.send_signal(signal.SIGKILL)
        worker.wait()

    # The process, two of its own, two that left, its keeper, the template, and a process at hand with its keeper.
    assert len(set(processes)) == 9
    wait_until(lambda: gone(processes), "everyone is gone", 2)


async def test_processes_start_ahead_with_the_libraries_that_their_processors_name(bench: IsolatedBench) -> None:
    bench.isolation.begin([PRELOADED, registry.load(development=True).get("core.echo")], ["default"])
    (template,) = templates()
    wait_until(lambda: len(template.children(recursive=True)) == 2, "a process and its keeper are at hand", 30)

    found = await bench.run(PRELOADED)

    assert found == [True, True]
    assert "pyclbr" not in sys.modules, "the worker itself does without"


async def test_no_template_is_started_where_nothing_is_isolated(bench: IsolatedBench) -> None:
    bench.isolation.begin([registry.load(development=True).get("core.echo")], ["default"])
    bench.isolation.begin([PRELOADED], ["another"])

    assert templates() == []


async def test_a_process_at_hand_that_is_lost_harms_no_attempt(bench: IsolatedBench) -> None:
    await bench.run(LOOK)
    (template,) = templates()
    wait_until(lambda: len(template.children(recursive=True)) == 2, "a process and its keeper are at hand", 30)
    for process in template.children(recursive=True):
        process.kill()

    assert (await bench.run(LOOK))["params"] == ["", 0]


async def test_where_there_is_no_place_for_a_spare_process_the_one_at_hand_is_used(
    bench: IsolatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = await bench.attempt()
    await bench.isolation.run(LOOK, context, Params())
    descriptors = psutil.Process().num_fds()

    with monkeypatch.context() as full:
        full.setattr(tempfile, "tempdir", "/nowhere")
        result: Any = await bench.isolation.run(LOOK, context, Params(n=1))
        with pytest.raises(FileNotFoundError):
            await bench.isolation.run(LOOK, context, Params())

    assert result["params"] == ["", 1]
    assert (await bench.run(LOOK))["params"] == ["", 0]
    assert psutil.Process().num_fds() <= descriptors


async def test_hundreds_of_attempts_run_one_after_the_other_and_leave_nothing(bench: IsolatedBench) -> None:
    """More than fit into the buffer of a socket, were one of them to leave something unread there."""
    context = await bench.attempt()
    await bench.isolation.run(LOOK, context, Params())
    (template,) = templates()
    descriptors = psutil.Process().num_fds()

    for number in range(400):
        result: Any = await asyncio.wait_for(bench.isolation.run(LOOK, context, Params(n=number)), 60)
        assert result["params"] == ["", number]

    assert templates() == [template]
    assert psutil.Process().num_fds() == descriptors
    wait_until(lambda: len(template.children(recursive=True)) == 2, "only the process at hand and its keeper are left")


async def test_an_attempt_costs_little_more_than_its_work(bench: IsolatedBench) -> None:
    await bench.isolation.prepare(LOOK)
    took = []
    for _ in range(5):
        context = await bench.attempt()
        before = time.perf_counter()
        await bench.isolation.run(LOOK, context, Params())
        took.append(time.perf_counter() - before)

    # 0.02 s on an idle machine; tests share theirs.
    assert min(took) < 0.2
