"""Slices: quick jobs run together, and none of them waits for a slow one."""

import asyncio
import dataclasses
import os
import threading
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from helixnet.jobs.states import Status
from helixnet.jobs.store.transitions import Settled
from helixnet.processors.base import RetryPolicy
from helixnet.processors.context import BlockingContext, JobContext
from helixnet.processors.registry import Registry
from helixnet.worker.attempt import Ended, StopReason
from helixnet.worker.pace import MOST_JOBS, Pace
from helixnet.worker.recording import record
from helixnet.worker.slices import SliceRun
from tests.jobs.conftest import Ledger
from tests.worker.conftest import AnyParams, Bench

pytestmark = pytest.mark.anyio

MakeBench = Callable[..., Awaitable[Bench]]


async def quick(_context: JobContext, params: AnyParams) -> dict[str, int]:
    return {"number": params.number}


async def status_of(ledger: Ledger, job_id: UUID) -> tuple[str, int, int]:
    job = await ledger.job(job_id)
    return job.status, job.attempt, job.max_attempts


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.01)


async def test_a_slice_runs_in_its_order_and_every_outcome_is_recorded(make_bench: MakeBench) -> None:
    bench = await make_bench(quick=quick)
    ids = [await bench.ledger.submit(processor="quick", params={"number": number}) for number in range(30)]

    await SliceRun(await bench.claim(100), bench.resources, bench.pace).run()

    for number, job_id in enumerate(ids):
        job = await bench.ledger.job(job_id)
        assert (job.status, job.result, job.attempt) == ("COMPLETED", {"number": number}, 1)
        assert await bench.ledger.kinds(job_id) == ["PENDING", "IN_PROGRESS", "COMPLETED"]


@pytest.mark.parametrize("manners", ["waits", "holds up the event loop"])
async def test_a_slow_job_holds_back_neither_what_was_done_nor_what_is_still_to_do(
    make_bench: MakeBench, manners: str
) -> None:
    release = threading.Event()

    async def slow(_context: JobContext, _params: AnyParams) -> dict[str, bool]:
        if manners == "waits":
            await asyncio.to_thread(release.wait)
        else:
            release.wait()
        return {"slow": True}

    bench = await make_bench(quick=quick, slow=slow)
    names = ["quick", "quick", "slow", "quick", "quick", "quick"]
    ids = [await bench.ledger.submit(processor=name, max_attempts=1) for name in names]
    run = SliceRun(await bench.claim(100), bench.resources, bench.pace)
    seen: dict[str, object] = {}

    def look() -> None:
        """From a thread with a loop of its own: the worker's may be held up."""

        async def looking() -> None:
            ledger = Ledger(type(bench.ledger.database)(bench.settings.database_url.get_secret_value(), 1, "look"))

            async def is_settled() -> bool:
                return all([(await status_of(ledger, job_id))[0] != "IN_PROGRESS" for job_id in ids[:2] + ids[3:]])

            await until(is_settled)
            seen["states"] = [await status_of(ledger, job_id) for job_id in ids]
            await ledger.database.close()

        try:
            asyncio.run(looking())
        finally:
            release.set()

    looker = threading.Thread(target=look)
    with bench.caretaker(run):
        looker.start()
        await run.run()
    looker.join()

    done, back = ("COMPLETED", 1, 1), ("PENDING", 1, 2)
    assert seen["states"] == [done, done, ("IN_PROGRESS", 1, 1), back, back, back], "no attempt was counted"
    assert (await status_of(bench.ledger, ids[2]))[0] == "COMPLETED"


async def test_at_shutdown_what_was_not_started_is_handed_back_at_once(make_bench: MakeBench) -> None:
    release = asyncio.Event()

    async def slow(_context: JobContext, _params: AnyParams) -> None:
        await release.wait()

    bench = await make_bench(quick=quick, slow=slow)
    first = await bench.ledger.submit(processor="slow")
    second = await bench.ledger.submit(processor="quick", max_attempts=1)
    run = SliceRun(await bench.claim(100, usual_seconds=60), bench.resources, bench.pace)

    async def is_back() -> bool:
        return await status_of(bench.ledger, second) == ("PENDING", 1, 2)

    running = asyncio.create_task(run.run())
    while run.attempt is None:  # noqa: ASYNC110 - one turn of the loop
        await asyncio.sleep(0)
    with bench.caretaker(run, stopping=lambda: True):
        await until(is_back)
        assert (await status_of(bench.ledger, first))[0] == "IN_PROGRESS", "what runs may go on"
        release.set()
        await running

    assert (await status_of(bench.ledger, first))[0] == "COMPLETED"


async def test_a_job_that_was_cancelled_before_its_turn_is_not_started(make_bench: MakeBench) -> None:
    ran: list[int] = []
    release = asyncio.Event()

    async def slow(_context: JobContext, params: AnyParams) -> None:
        ran.append(params.number)
        await release.wait()

    bench = await make_bench(slow=slow, quick=quick)
    ids = [await bench.ledger.submit(processor="slow", params={"number": number}) for number in range(3)]
    run = SliceRun(await bench.claim(100, usual_seconds=60), bench.resources, bench.pace)
    running = asyncio.create_task(run.run())
    await bench.ledger.cancel(ids[1])

    stops = await bench.ledger.heartbeat(bench.worker)
    assert run.hand_back("asked to stop", only=stops or []) == 1
    release.set()
    await running

    assert ran == [0, 2]
    assert (await bench.ledger.job(ids[1])).status == "CANCELLED"


async def test_after_a_job_that_was_stopped_the_slice_ends(make_bench: MakeBench) -> None:
    async def slow(_context: JobContext, _params: AnyParams) -> None:
        await asyncio.Event().wait()

    bench = await make_bench(slow=slow, quick=quick)
    ids = [await bench.ledger.submit(processor=name) for name in ("slow", "quick")]
    run = SliceRun(await bench.claim(100, usual_seconds=60), bench.resources, bench.pace)
    running = asyncio.create_task(run.run())
    while run.attempt is None:  # noqa: ASYNC110 - one turn of the loop
        await asyncio.sleep(0)

    run.attempt.stop(StopReason.CANCELLED)

    await running
    assert [(await bench.ledger.job(job_id)).status for job_id in ids] == ["CANCELLED", "PENDING"]


async def test_a_processor_that_wants_to_end_the_process_fails_alone(make_bench: MakeBench) -> None:
    async def slow(_context: JobContext, _params: AnyParams) -> None:
        raise SystemExit(1)

    bench = await make_bench(slow=slow, quick=quick)
    ids = [await bench.ledger.submit(processor=name, max_attempts=1) for name in ("slow", "quick")]

    await SliceRun(await bench.claim(100), bench.resources, bench.pace).run()

    assert [(await bench.ledger.job(job_id)).status for job_id in ids] == ["FAILED", "COMPLETED"]


async def test_a_plain_function_runs_in_a_thread_and_hears_of_its_end(make_bench: MakeBench) -> None:
    begun, heard = threading.Event(), threading.Event()

    def slow(context: BlockingContext, _params: AnyParams) -> None:
        begun.set()
        while not context.cancelled:
            time.sleep(0.01)
        heard.set()

    def quick(context: BlockingContext, params: AnyParams) -> dict[str, str]:
        (context.scratch / "kept").write_text("something")
        return {"scratch": str(context.scratch), "key": context.idempotency_key}

    bench = await make_bench(quick=quick, slow=slow)
    ids = [await bench.ledger.submit(processor=name) for name in ("quick", "slow")]
    run = SliceRun(await bench.claim(100), bench.resources, bench.pace)

    running = asyncio.create_task(run.run())
    assert await asyncio.to_thread(begun.wait, 20)
    assert run.attempt is not None
    run.attempt.stop(StopReason.CANCELLED)
    await running

    assert await asyncio.to_thread(heard.wait, 20)
    jobs = [await bench.ledger.job(job_id) for job_id in ids]
    assert [job.status for job in jobs] == ["COMPLETED", "CANCELLED"]
    assert jobs[0].result is not None
    assert jobs[0].result["key"] == str(ids[0])
    assert not await asyncio.to_thread(os.path.lexists, jobs[0].result["scratch"])


async def test_a_job_that_ran_into_a_limit_is_not_tried_again_where_the_policy_says_so(make_bench: MakeBench) -> None:
    async def quick(_context: JobContext, _params: AnyParams) -> None:
        raise MemoryError

    bench = await make_bench(quick=quick)
    processor = dataclasses.replace(bench.resources.registry.get("quick"), retry=RetryPolicy(again_after_limit=False))
    bench.resources = dataclasses.replace(bench.resources, registry=Registry([processor]))
    job_id = await bench.ledger.submit(processor="quick")

    await SliceRun(await bench.claim(1), bench.resources, bench.pace).run()

    job = await bench.ledger.job(job_id)
    assert (job.status, job.attempt, job.error and job.error["kind"]) == ("FAILED", 1, "limit")


async def test_an_outcome_that_cannot_be_written_keeps_no_other_from_it(make_bench: MakeBench) -> None:
    bench = await make_bench(quick=quick)
    for _number in range(3):
        await bench.ledger.submit(processor="quick")
    jobs = await bench.claim(100)
    outcomes = [Ended(job, Settled(id=job.id, attempt=1, status=Status.COMPLETED, result=b"{}")) for job in jobs]
    broken = Settled(id=jobs[1].id, attempt=1, status=Status.FAILED, fingerprint="\x00")

    await record(bench.resources.database, [outcomes[0], Ended(jobs[1], broken), outcomes[2]])

    assert [(await bench.ledger.job(job.id)).status for job in jobs] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "could not be stored" in (await bench.ledger.job(jobs[1].id)).error["message"]


def test_a_slice_grows_with_how_quick_the_jobs_are() -> None:
    pace = Pace()
    assert pace.next_slice("default").limit == 1, "nothing is known yet"


@pytest.mark.parametrize(("seconds", "limit"), [(0.0001, MOST_JOBS), (0.01, 20), (0.15, 1), (30, 1)])
async def test_a_slice_holds_two_tenths_of_a_second_of_work(make_bench: MakeBench, seconds: float, limit: int) -> None:
    bench = await make_bench(quick=quick)
    await bench.ledger.submit(processor="quick")
    jobs = await bench.claim(1, usual_seconds=seconds)

    bench.pace.finished("default", jobs, seconds)

    assert bench.pace.next_slice("default").limit == limit
    assert bench.pace.of_queues == {"default": pytest.approx(seconds)}


def test_patience_is_ten_times_the_usual_but_not_less_than_a_moment() -> None:
    pace = Pace()
    pace.ran("quick", 0.0001)
    pace.ran("slow", 2.0)

    assert pace.patience("quick") == 0.05
    assert pace.patience("slow") == 20
