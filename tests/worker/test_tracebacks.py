"""Stack traces of failed attempts: kept with their outcome, whatever they hold, and not without it."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from helixnet.processors import Reject, UpstreamFailed
from helixnet.processors.context import JobContext
from helixnet.worker.failure import LONGEST_TRACE
from helixnet.worker.slices import SliceRun
from tests.worker.conftest import AnyParams, Bench

pytestmark = pytest.mark.anyio

MakeBench = Callable[..., Awaitable[Bench]]


async def fail(_context: JobContext, params: AnyParams) -> None:
    match params.number:
        case 0:
            raise ValueError("NUL \x00, half a surrogate \ud800")
        case 1:
            raise ValueError("x" * 100_000)
        case 2:
            raise UpstreamFailed("The model said no.") from OSError("connection refused")
        case _:
            raise Reject("The file is empty.")


async def kept(bench: Bench) -> dict[int, str]:
    """The stack traces that are kept, by the job's number."""
    async with bench.resources.database.transaction() as session:
        rows = await session.execute(
            text("SELECT params ->> 'number', traceback FROM job_tracebacks JOIN jobs ON jobs.id = job_id")
        )
        return {int(number): traceback for number, traceback in rows}


async def test_failures_leave_their_stack_traces_and_refusals_of_the_input_none(make_bench: MakeBench) -> None:
    bench = await make_bench(quick=fail)
    for number in range(4):
        await bench.ledger.submit(processor="quick", params={"number": number}, max_attempts=1)

    await SliceRun(await bench.claim(100), bench.resources, bench.pace).run()

    found = await kept(bench)
    assert sorted(found) == [0, 1, 2]
    assert "ValueError: NUL , half a surrogate ?" in found[0]
    assert len(found[1]) == LONGEST_TRACE
    assert "OSError: connection refused" in found[2]


async def test_an_attempt_that_was_given_up_leaves_none(make_bench: MakeBench) -> None:
    bench = await make_bench(quick=fail)
    await bench.ledger.submit(processor="quick", params={"number": 0})
    jobs = await bench.claim(1)
    async with bench.resources.database.transaction() as session:
        await session.execute(text("UPDATE jobs SET attempt = attempt + 1"))

    await SliceRun(jobs, bench.resources, bench.pace).run()

    assert await kept(bench) == {}


async def test_the_last_attempts_stack_trace_is_the_one_that_is_kept(make_bench: MakeBench) -> None:
    bench = await make_bench(quick=fail)
    await bench.ledger.submit(processor="quick", params={"number": 0}, max_attempts=2)
    await SliceRun(await bench.claim(1), bench.resources, bench.pace).run()
    async with bench.resources.database.transaction() as session:
        await session.execute(text("UPDATE jobs SET params = '{\"number\": 2}', available_at = now(), due = true"))

    await SliceRun(await bench.claim(1), bench.resources, bench.pace).run()

    assert "connection refused" in (await kept(bench))[2]
