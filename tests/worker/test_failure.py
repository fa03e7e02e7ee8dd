"""Failures: what an exception means for its job, and which failures are of one kind."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from helixnet.errors import Invalid, Unavailable
from helixnet.processors import registry
from helixnet.processors.base import OverLimit, Reject, Retry, UpstreamFailed
from helixnet.worker import failure
from helixnet.worker.context import RunContext
from helixnet.worker.failure import Failure
from tests.jobs.conftest import Ledger

PROCESSOR = "acme.invoice"
RING: list[object] = []
RING.append(RING)


def caught(error: BaseException) -> Failure:
    try:
        raise error  # noqa: TRY301 - to have a trace
    except BaseException as raised:  # noqa: BLE001 - every kind is wanted
        return failure.failed(raised, PROCESSOR)


def divide(number: int) -> float:
    return number / 0


def calling(function: Callable[[], object]) -> Failure:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - every kind is wanted
        return failure.failed(error, PROCESSOR)
    raise AssertionError("it did not fail")


def failing_with(number: int) -> Failure:
    try:
        divide(number)
    except ZeroDivisionError as error:
        return failure.failed(error, PROCESSOR)
    raise AssertionError("it divided by nothing")


@pytest.mark.parametrize(
    ("error", "kind", "final"),
    [
        (Reject("The invoice has no number.", line=3), "input", True),
        (OverLimit("The invoice has a million lines."), "limit", True),
        (UpstreamFailed("The bank does not know us."), "upstream", True),
        (Retry("The bank is closed."), "upstream", False),
        (Invalid("This is no invoice."), "input", False),
        (MemoryError(), "limit", False),
        (ValueError("invoice 17"), "bug", False),
        (ExceptionGroup("tasks", [ValueError("invoice 17")]), "bug", False),
    ],
)
def test_every_exception_has_a_kind(error: BaseException, kind: str, final: bool) -> None:
    failed = caught(error)

    assert (failed.error["kind"], failed.final) == (kind, final)
    assert failed.error["fingerprint"] == failed.fingerprint
    assert len(failed.fingerprint) == 16
    assert orjson.dumps(failed.error)


def test_a_request_to_retry_says_when() -> None:
    assert caught(Retry("later", after=timedelta(seconds=7))).retry_after == timedelta(seconds=7)


def test_failures_at_one_place_are_of_one_kind_whatever_their_words() -> None:
    first, second = failing_with(1), failing_with(2)

    assert first.error["place"] == "tests.worker.test_failure:divide"
    assert first.error["type"] == "ZeroDivisionError"
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != caught(ZeroDivisionError()).fingerprint, "another place"
    assert first.fingerprint != caught(ValueError()).fingerprint, "another type"


def test_a_task_that_rejects_the_input_rejects_the_job() -> None:
    error = ExceptionGroup(
        "tasks", [ValueError("1"), ExceptionGroup("more", [Retry("2"), Reject("No number.", line=3)])]
    )

    failed = caught(error)

    assert (failed.error["kind"], failed.error["message"], failed.final) == ("input", "No number.", True)
    assert failed.error["details"] == {"line": 3}
    again = caught(ExceptionGroup("tasks", [ValueError(), Retry("later", timedelta(seconds=7))]))
    assert (again.error["kind"], again.retry_after) == ("upstream", timedelta(seconds=7))


def test_an_error_of_a_task_is_told_with_its_own_words_and_place() -> None:
    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(divide, 1))

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(both())

    failed = failure.failed(raised.value, PROCESSOR)
    assert failed.error["message"] == "The processor failed: ZeroDivisionError: division by zero"
    assert failed.error["place"] == "tests.worker.test_failure:divide"


def test_the_place_is_in_the_processors_own_code_not_in_a_library() -> None:
    failed = calling(lambda: orjson.loads(b"{"))
    assert failed.error["type"] == "orjson.JSONDecodeError"
    assert failed.error["place"].startswith("tests.worker.test_failure:test_the_place_is_in")

    deep = calling(lambda: json.loads("{"))
    assert deep.error["type"] == "json.decoder.JSONDecodeError"
    assert deep.error["place"] == failed.error["place"]


def test_a_built_in_fails_in_its_own_code_not_in_the_platforms() -> None:
    sleep = registry.load(development=True).get("core.sleep")
    nothing: Any = None
    context = RunContext(nothing, nothing, nothing, nothing)
    with pytest.raises(AttributeError) as raised:
        asyncio.run(sleep.run(context, sleep.params.model_validate({"seconds": 1.2})))
    # As the worker sees it, without this test around it.
    error = raised.value.with_traceback(raised.tb.tb_next)

    failed = failure.failed(error, PROCESSOR)

    assert "helixnet/worker/context.py" in failed.trace
    assert failed.error["place"] == "helixnet.processors.core:sleep"


def test_the_place_of_a_translated_error_is_where_it_was_translated() -> None:
    def translate() -> None:
        try:
            divide(1)
        except ZeroDivisionError as error:
            raise RuntimeError("cannot divide") from error

    failed = calling(translate)

    assert failed.error["type"] == "RuntimeError"
    assert failed.error["place"].endswith("<locals>.translate")
    assert "ZeroDivisionError" in failed.trace


def test_an_error_without_a_trace_has_the_place_of_its_cause() -> None:
    error = RuntimeError("The processor raised SystemExit.")
    try:
        divide(1)
    except ZeroDivisionError as cause:
        error.__cause__ = cause

    assert failure.failed(error, PROCESSOR).error["place"] == "tests.worker.test_failure:divide"
    assert failure.failed(RuntimeError(), PROCESSOR).error["place"] == ""


def test_causes_in_a_ring_come_to_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    assert failure.failed(one, PROCESSOR).error["message"] == "The processor failed: ValueError: one"


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(111, "Connection refused"), Unavailable("The store is away.")]
)
def test_what_could_not_be_reached_is_no_fault_of_the_job(error: Exception) -> None:
    failed = caught(error)

    assert (failed.error["kind"], failed.final) == ("upstream", False)


def test_an_error_that_cannot_speak_is_told_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise OSError("no words")

    failed = caught(Mute())

    assert failed.error["message"] == "The processor failed: Mute: <Mute>"
    assert caught(ValueError()).error["message"] == "The processor failed: ValueError"


@pytest.mark.parametrize(
    "details",
    [
        {"ring": RING},
        {"number": 2**70},
        {"half": "\ud800", "nul": "a\x00b"},
        {"large": "x" * 1_000_000} | {f"name {number}": 1 for number in range(1000)},
        {"object": object()},
        {"nothing": float("nan")},
    ],
    ids=["ring", "number", "characters", "large", "object", "nan"],
)
def test_details_of_any_kind_can_be_stored(details: dict[str, object]) -> None:
    shown = caught(Reject("No.", **details)).error["details"]

    written = orjson.dumps(shown)
    assert next(iter(details)) in shown
    assert len(written) < 20_000
    assert b"\\u0000" not in written


def test_the_trace_is_bounded_whatever_the_words() -> None:
    failed = caught(ValueError("x" * 1_000_000))

    assert len(failed.trace) <= failure.LONGEST_TRACE
    assert len(failed.error["message"]) <= 4000


def test_an_endless_recursion_is_told_shortly() -> None:
    def deeper(depth: int) -> int:
        return deeper(depth + 1)

    with pytest.raises(RecursionError) as raised:
        deeper(0)

    failed = failure.failed(raised.value, PROCESSOR)
    assert failed.error["type"] == "RecursionError"
    assert failed.trace.count("in deeper") <= failure.TRACE_FRAMES


def test_what_postgresql_cannot_hold_does_not_get_into_the_words() -> None:
    assert caught(ValueError("a\x00b\ud800")).error["message"] == "The processor failed: ValueError: ab?"


@pytest.mark.anyio
async def test_the_reaper_forms_the_same_fingerprint(ledger: Ledger) -> None:
    job_id = await ledger.submit(max_attempts=1)
    worker = await ledger.worker()
    await ledger.claim(worker)
    await ledger.leave(worker)
    await ledger.reap()

    job = await ledger.job(job_id)
    assert (job.status, job.error["kind"]) == ("FAILED", "worker_lost")
    assert job.fingerprint == failure.fingerprint_of("core.echo", "worker_lost", "WorkerLost", "")
    assert job.error["fingerprint"] == job.fingerprint
