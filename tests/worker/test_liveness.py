"""Liveness is claims that make progress: a worker that is up and takes no work is not alive."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from helixnet.config import Settings
from helixnet.jobs.store import leases
from helixnet.stack.home import Home
from helixnet.stack.programs import settings_in
from helixnet.stack.servers import Valkey
from helixnet.worker import liveness
from helixnet.worker.heartbeat import node_name
from tests.conftest import Stack, free_port, wait_until
from tests.jobs.conftest import Ledger
from tests.stack.conftest import helix

NODE = "host/boot/namespace"
# Of a test, on a machine that has much else to do.
PATIENCE_SECONDS = 120


@pytest.fixture
def settings(database_url: str, valkey: Valkey) -> Settings:
    return Settings.model_validate(
        {"database_url": database_url, "broker_url": valkey.broker_url, "lease_seconds": 120}
    )


@pytest.fixture
def alter(database_url: str) -> Callable[[str], None]:
    """Turn back the ledger's clocks, and the like."""

    def run(statement: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(statement)

    return run


@pytest.fixture
async def waiting(ledger: Ledger, alter: Callable[[str], None]) -> UUID:
    """A worker process that began an hour ago, and a job that has waited for it for five minutes."""
    worker = await ledger.worker(node=NODE)
    await ledger.submit()
    alter("UPDATE workers SET started_at = now() - interval '1 hour'")
    alter("UPDATE jobs SET available_at = now() - interval '5 minutes'")
    return worker


def is_alive(settings: Settings) -> bool:
    """As the probe finds it, in a process that has no event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(liveness.check_worker, settings, NODE).result()
        except liveness.NoProgress:
            return False
    return True


@pytest.mark.anyio
async def test_a_worker_that_leaves_work_waiting_is_not_alive(settings: Settings, waiting: UUID) -> None:
    assert not is_alive(settings)


@pytest.mark.anyio
async def test_a_claim_is_progress_for_a_minute(settings: Settings, waiting: UUID, ledger: Ledger) -> None:
    async with ledger.database.transaction() as session:
        await leases.heartbeat(session, waiting, {}, timedelta(seconds=20))
    assert is_alive(settings)

    async with ledger.database.transaction() as session:
        await leases.heartbeat(session, waiting, {}, timedelta(seconds=70))
    assert not is_alive(settings)


@pytest.mark.anyio
async def test_a_worker_that_works_is_alive_however_long_it_takes(
    settings: Settings, waiting: UUID, ledger: Ledger, alter: Callable[[str], None]
) -> None:
    await ledger.submit()
    assert len(await ledger.claim(waiting)) == 1
    alter("UPDATE jobs SET available_at = now() - interval '5 minutes' WHERE status = 'PENDING'")

    assert is_alive(settings)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "reason",
    [
        "UPDATE queues SET paused = true",
        "UPDATE queues SET running_limit = 0",
        "UPDATE jobs SET available_at = now()",
        "UPDATE jobs SET queue = 'of others'",
        "UPDATE workers SET started_at = now()",
    ],
)
async def test_what_is_not_the_workers_fault_is_not_held_against_it(
    settings: Settings, waiting: UUID, alter: Callable[[str], None], reason: str
) -> None:
    alter(reason)

    assert is_alive(settings)


@pytest.mark.anyio
async def test_a_worker_without_a_heartbeat_is_not_alive(
    settings: Settings, waiting: UUID, alter: Callable[[str], None]
) -> None:
    alter("UPDATE jobs SET available_at = now()")
    assert is_alive(settings)

    alter("UPDATE workers SET heartbeat_at = now() - interval '10 minutes'")

    assert not is_alive(settings)


@pytest.mark.anyio
async def test_no_worker_is_restarted_because_a_server_is_away(settings: Settings, waiting: UUID) -> None:
    nowhere = f"127.0.0.1:{free_port()}"

    assert is_alive(settings.model_copy(update={"broker_url": Settings(broker_url=f"redis://{nowhere}/0").broker_url}))
    assert is_alive(
        settings.model_copy(update={"database_url": Settings(database_url=f"postgresql://h@{nowhere}/h").database_url})
    )


def test_beat_lives_by_its_rounds(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    settings = Settings(progress_file=str(file))
    with pytest.raises(liveness.NoProgress):
        liveness.check_beat(settings)

    liveness.note_round(settings.progress_file)
    assert "last round ended" in liveness.check_beat(settings)

    os.utime(file, (time.time() - 61, time.time() - 61))
    with pytest.raises(liveness.NoProgress):
        liveness.check_beat(settings)
    assert "last round ended" in liveness.check_beat(settings.model_copy(update={"housekeeping_seconds": 10}))


def test_a_round_is_noted_in_no_file_that_somebody_else_laid_there(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)

    liveness.note_round(str(link))

    assert not target.exists()


@pytest.fixture
def deaf_stack(tmp_path: Path) -> Iterator[Stack]:
    """A HelixNet whose workers know of work by rings alone."""
    stack = Stack(tmp_path / "home", {"HELIX_LEASE_SECONDS": "3", "HELIX_LOOK_SECONDS": "0"})
    stack.start()
    yield stack
    assert stack.stop() == 0, stack.log


@pytest.mark.drill
@pytest.mark.xdist_group("drills")
def test_a_worker_that_hears_no_ring_any_more_is_found_out(deaf_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Home(deaf_stack.home).read_state()
    assert state is not None
    settings = Settings.model_validate(settings_in(state))
    monkeypatch.setattr(liveness, "PATIENCE", timedelta(seconds=1))
    client = deaf_stack.client()
    wait_until(lambda: helix("health", "worker", **state).returncode == 0, "the probe passes", PATIENCE_SECONDS)

    def found_out() -> bool:
        try:
            liveness.check_worker(settings, node_name())
        except liveness.NoProgress as problem:
            return "work waits in default" in str(problem)
        return False

    # Its processes live and beat; only who hands them the rings is frozen.
    worker = deaf_stack.part("worker")
    worker.send_signal(signal.SIGSTOP)
    try:
        job = client.submit("core.echo", {"message": "hello"})
        wait_until(found_out, "the worker is found out", PATIENCE_SECONDS)
    finally:
        worker.send_signal(signal.SIGCONT)

    wait_until(lambda: client.job(job.job_id).status == "COMPLETED", "the job is done", PATIENCE_SECONDS)
    assert not found_out()
