"""The live feed: nothing is skipped, nothing is somebody else's, and a reconnect misses nothing."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import uuid_utils.compat as uuids
from redis.asyncio import Redis

from helixnet.db import Database
from helixnet.hints import CHANNEL, Hints
from helixnet.jobs.store import commands
from helixnet.stack.servers import Valkey
from helixnet.web.live import BACKLOG, Change, Feed, Mark
from tests.jobs.conftest import Ledger

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 10


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[Feed]:
    """A feed without Valkey: it polls."""
    feed = Feed(database, Hints(""))
    async with feed.running():
        yield feed


class Browser:
    """Somebody who watches, and what was seen."""

    def __init__(self, feed: Feed, owner_id: UUID | None, last: Mark | None = None) -> None:
        self._changes = feed.watch(owner_id, last)
        self._next: asyncio.Task[Change] | None = None

    async def open(self) -> None:
        """Begin to watch; returns once the feed knows."""
        self._next = asyncio.create_task(anext(self._changes))
        await asyncio.sleep(0)
        await asyncio.wait({self._next}, timeout=0.2)

    async def see(self) -> Change:
        """The next change."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            pending = self._next or asyncio.create_task(anext(self._changes))
            self._next = None
            return await pending

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        await self._changes.aclose()


async def test_a_watcher_sees_each_change_of_state_in_order(feed: Feed, ledger: Ledger) -> None:
    browser = Browser(feed, ledger.owner)
    await browser.open()

    job_id = await ledger.submit()
    await ledger.claim(await ledger.worker())
    await ledger.finish(job_id, 1)

    seen = [await browser.see() for _ in range(3)]
    await browser.close()
    assert [change.kind for change in seen] == ["PENDING", "IN_PROGRESS", "COMPLETED"]
    assert {change.job_id for change in seen} == {job_id}
    assert [change.mark for change in seen] == sorted(change.mark for change in seen)


async def test_somebody_elses_changes_are_not_seen(feed: Feed, ledger: Ledger) -> None:
    stranger = Ledger(ledger.database)
    browser, admin = Browser(feed, ledger.owner), Browser(feed, None)
    await browser.open()
    await admin.open()

    theirs, own = await stranger.submit(), await ledger.submit()

    assert (await browser.see()).job_id == own
    assert [(await admin.see()).job_id, (await admin.see()).job_id] == [theirs, own]
    await browser.close()
    await admin.close()


async def test_an_event_that_commits_late_is_not_skipped(feed: Feed, ledger: Ledger) -> None:
    browser = Browser(feed, ledger.owner)
    await browser.open()
    late, early = await ledger.submit(), await ledger.submit()
    await browser.see()
    await browser.see()

    async with ledger.database.transaction() as slow:
        await commands.cancel(slow, [late])
        await ledger.cancel(early)  # begun later, visible first
        await asyncio.sleep(0.3)  # the feed has every chance to run ahead

    seen = {(await browser.see()).job_id, (await browser.see()).job_id}
    await browser.close()
    assert seen == {late, early}


async def test_a_reconnect_sees_what_happened_meanwhile(feed: Feed, ledger: Ledger) -> None:
    browser = Browser(feed, ledger.owner)
    await browser.open()
    first = await ledger.submit()
    last = (await browser.see()).mark
    await browser.close()

    await ledger.cancel(first)
    second = await ledger.submit()
    again = Browser(feed, ledger.owner, Mark.parse(str(last)))
    await again.open()
    third = await ledger.submit()

    seen = [await again.see() for _ in range(3)]
    await again.close()
    assert [(change.job_id, change.kind) for change in seen] == [
        (first, "CANCELLED"),
        (second, "PENDING"),
        (third, "PENDING"),
    ]


async def test_who_missed_too_much_is_told_to_look_at_everything(feed: Feed, ledger: Ledger) -> None:
    for _ in range(BACKLOG + 1):
        await ledger.submit()

    browser = Browser(feed, ledger.owner, Mark(0, 0))
    change = await browser.see()

    await browser.close()
    assert (change.job_id, change.kind) == (None, "RESET")


@pytest.mark.parametrize("text", [None, "", "7", "7-", "-7", "a-b", "7-8-9x", "٧-٨"])
def test_a_mark_that_is_none_of_ours_is_no_mark(text: str | None) -> None:
    assert Mark.parse(text) is None


async def test_hints_are_heard_by_every_process(valkey: Valkey) -> None:
    teller, hearer = Hints(valkey.cache_url), Hints(valkey.cache_url)
    owners = {uuids.uuid7(), uuids.uuid7()}

    async def hear() -> set[UUID]:
        heard: set[UUID] = set()
        async for some in hearer.listen():
            heard |= some
            if heard == owners:
                break
        return heard

    hearing = asyncio.create_task(hear())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not hearing.done():
            for owner in owners:
                teller.publish(owner)
            await asyncio.sleep(0.05)

    assert hearing.result() == owners
    await teller.close()
    await hearer.close()


async def test_what_is_no_hint_ends_the_hearing_and_nothing_else(valkey: Valkey) -> None:
    hearer = Hints(valkey.cache_url)
    async with Redis.from_url(valkey.cache_url) as stranger, asyncio.timeout(PATIENCE_SECONDS):
        for noise in (b"\xff\xfe", b"no uuid"):
            heard = hearer.listen()
            first = asyncio.ensure_future(anext(heard, None))
            while not first.done():  # until it listens, what is told is lost
                await stranger.publish(CHANNEL, noise)
                await asyncio.sleep(0.01)
            assert not first.result()
            await heard.aclose()
    await hearer.close()


async def test_a_hint_does_not_wait_for_more_before_the_loop_rests(valkey: Valkey) -> None:
    teller, hearer, owner = Hints(valkey.cache_url), Hints(valkey.cache_url), uuids.uuid7()
    heard = hearer.listen()
    first = asyncio.ensure_future(anext(heard))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not first.done():  # until it listens, what is told is lost
            teller.publish(owner)
            await teller.flush()
            await asyncio.sleep(0.01)

    assert first.result() == {owner}
    await teller.close()
    await hearer.close()


async def test_without_valkey_hints_are_silent_and_cost_nothing() -> None:
    for url in ("", "unix:///nowhere/valkey.sock"):
        hints = Hints(url)
        hints.publish(uuids.uuid7())
        assert [owners async for owners in hints.listen()] == []
        await hints.close()
