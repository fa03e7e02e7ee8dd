"""Connections to PostgreSQL that die without a word: everybody notices in time, and goes on by another."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from helixnet.db import Database
from helixnet.stack.servers import PORT, USER, Postgres
from helixnet.worker.recording import hand_back_unheard
from tests.conftest import Stack, wait_until
from tests.jobs.conftest import Ledger
from tests.worker.proxy import Proxy

LEASE_SECONDS = 6


def through(proxy: Proxy, database_url: str) -> str:
    """The address of a database by way of the proxy."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    return f"postgresql://{USER}@127.0.0.1:{proxy.port}/{name}?sslmode=disable"


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    with Proxy(postgres.sockets / f".s.PGSQL.{PORT}") as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: Proxy, database_url: str) -> AsyncIterator[Database]:
    """The database behind the proxy, with little patience."""
    database = Database(through(proxy, database_url), 3, patience_seconds=0.5)
    yield database
    await database.close()


@pytest.mark.anyio
async def test_a_plain_statement_waits_no_longer_than_it_has_patience(far: Database, proxy: Proxy) -> None:
    async with far.connection() as connection:
        proxy.go_silent()
        with pytest.raises(OperationalError, match=r"did not answer within 0\.5 s"):
            await connection.execute(text("SELECT 1"), {})

    async with far.connection() as connection:
        assert (await connection.execute(text("SELECT 2"), {})).first() == (2,)


@pytest.mark.anyio
async def test_a_transaction_waits_no_longer_than_it_has_patience(far: Database, proxy: Proxy) -> None:
    async def lose_the_connection_in_the_middle() -> None:
        async with far.transaction() as session:
            await session.execute(text("SELECT 1"))
            proxy.go_silent()
            await session.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError, match=r"did not answer within 0\.5 s"):
        await lose_the_connection_in_the_middle()

    async with far.transaction() as session:
        assert await session.scalar(text("SELECT 2")) == 2


@pytest.mark.anyio
async def test_one_connection_that_gives_no_sign_of_life_condemns_those_that_rest_with_it(
    far: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("helixnet.statements", "helixnet.db"):
        monkeypatch.setattr(f"{module}.BELIEVED_SECONDS", 0)
        monkeypatch.setattr(f"{module}.PROBE_SECONDS", 0.2)
    async with far.connection(), far.connection(), far.connection():
        opened = proxy.accepted
    assert opened == 3
    proxy.go_silent()

    async with far.connection() as connection:
        assert (await connection.execute(text("SELECT 3"), {})).first() == (3,)

    assert proxy.accepted == opened + 1
    assert not far._plain._idle[1:]


@pytest.mark.anyio
async def test_jobs_whose_claim_was_not_heard_of_are_handed_back_and_lose_nothing(ledger: Ledger) -> None:
    worker, other = await ledger.worker(), await ledger.worker(pid=2)
    jobs = [await ledger.submit(max_attempts=1) for _ in range(4)]
    await ledger.claim(worker, limit=3)
    theirs = await ledger.claim(other, limit=1)

    await hand_back_unheard(ledger.database, worker)

    again = await ledger.claim(other, limit=10)
    assert sorted(job.id for job in again) == sorted(set(jobs) - {theirs[0].id})
    assert {job.attempt for job in again} == {2}


@pytest.fixture
def wired(proxy: Proxy, database_url: str) -> Iterator[Stack]:
    """A HelixNet with its PostgreSQL behind the proxy."""
    with tempfile.TemporaryDirectory(prefix="helix-own-", ignore_cleanup_errors=True) as folder:
        environment = {"HELIX_DATABASE_URL": through(proxy, database_url), "HELIX_LEASE_SECONDS": str(LEASE_SECONDS)}
        stack = Stack(Path(folder) / "home", environment)
        stack.start()
        yield stack
        code = stack.stop()
        assert code == 0, stack.log


@pytest.mark.drill
@pytest.mark.xdist_group("drills")
def test_connections_that_die_in_the_middle_cost_no_job_anything(wired: Stack, proxy: Proxy) -> None:
    helix = wired.client()
    running = helix.submit("core.sleep", {"seconds": 600}).job_id
    helix.wait(running, 20, until={"IN_PROGRESS"})
    http = wired.http(helix)
    jobs = [{"processor": "core.echo", "params": {"message": str(number)}} for number in range(3000)]
    batch = http.post("/api/v1/jobs/batch", json=jobs).json()["batch_id"]

    def counts() -> dict[str, int]:
        rows = wired.sql("SELECT status, count(*) FROM jobs WHERE batch_id = %s GROUP BY status", batch)
        return {str(status): int(str(count)) for status, count in rows}

    wait_until(lambda: counts().get("COMPLETED", 0) > 50, "the batch is under way")
    before = proxy.accepted
    proxy.lose_answers()

    wait_until(lambda: counts() == {"COMPLETED": 3000}, "every job has ended", 90)

    assert proxy.accepted > before, "there were connections to lose"
    ends = wired.sql(
        "SELECT count(*), count(DISTINCT job_id) FROM job_events JOIN jobs ON jobs.id = job_id"
        " WHERE batch_id = %s AND kind = 'COMPLETED'",
        batch,
    )
    assert ends == [(3000, 3000)]
    assert wired.sql("SELECT status, attempt FROM jobs WHERE id = %s", running) == [("IN_PROGRESS", 1)]
    assert "the lease is lost" not in wired.log
    helix.cancel(running)
