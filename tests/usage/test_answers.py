"""Answers are kept for their owner alone, and for a while."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from helixnet.db import Database
from helixnet.usage import answers, service

pytestmark = pytest.mark.anyio

OWNER = uuid4()
DAY = timedelta(days=1)


async def keep(database: Database, key: str, answer: object, lifetime: timedelta = DAY) -> None:
    async with database.connection() as connection:
        await answers.keep(connection, OWNER, key, answer, lifetime)


async def recall(database: Database, key: str, owner_id: UUID = OWNER) -> object:
    async with database.connection() as connection:
        return await answers.recall(connection, owner_id, key)


async def test_an_answer_is_recalled_by_its_owner_and_by_nobody_else(database: Database) -> None:
    await keep(database, "a", "first")
    await keep(database, "a", "second")

    assert await recall(database, "a") == "second"
    assert await recall(database, "b") is None
    assert await recall(database, "a", uuid4()) is None


async def test_an_answer_that_has_expired_is_not_recalled_and_is_purged(database: Database) -> None:
    await keep(database, "old", "gone", timedelta(seconds=-1))
    await keep(database, "new", "here")

    assert await recall(database, "old") is None
    async with database.transaction() as session:
        assert await service.purge(session) == 1
    assert await recall(database, "new") == "here"


async def test_an_answer_that_is_too_large_is_not_kept(database: Database) -> None:
    await keep(database, "large", "x" * answers.LARGEST_ANSWER)

    assert await recall(database, "large") is None


async def test_a_full_memory_takes_nothing_new(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWERS", 2)
    for key in ("a", "b", "c"):
        await keep(database, key, key)

    assert [await recall(database, key) for key in ("a", "b", "c")] == ["a", "b", None]
