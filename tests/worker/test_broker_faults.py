"""Connections to the broker that die without a word: everybody notices in time, and goes on by another."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from kombu.connection import Connection

from helixnet.broker import Ringer, broker_queue, create_app
from helixnet.config import Settings
from helixnet.stack.rabbitmq import RabbitMQ
from helixnet.stack.servers import Valkey
from tests.conftest import Stack, wait_until
from tests.worker.proxy import Proxy

# Kept together: each has a server of its own behind its proxy, and RabbitMQ's takes seconds to start.
pytestmark = [pytest.mark.drill, pytest.mark.xdist_group("broker-faults")]

# By the defaults of Celery and kombu it would be four minutes with RabbitMQ, and one with Redis.
WORKER_NOTICES_SECONDS = 25
PUBLISHER_NOTICES_SECONDS = 6


@dataclass
class Cable:
    """A broker behind a proxy."""

    name: str
    proxy: Proxy
    url: str


@pytest.fixture(scope="module", params=["valkey", "rabbitmq"])
def cable(request: pytest.FixtureRequest) -> Iterator[Cable]:
    if request.param == "valkey":
        valkey: Valkey = request.getfixturevalue("valkey")
        with Proxy(valkey.socket) as proxy:
            yield Cable("valkey", proxy, f"redis://127.0.0.1:{proxy.port}")
        return
    rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
    port = int(rabbitmq._address()["port"])
    with Proxy(port) as proxy:
        yield Cable("rabbitmq", proxy, rabbitmq.url.replace(f":{port}/", f":{proxy.port}/"))


def test_a_ring_on_a_dead_connection_is_given_up_soon_and_the_next_one_gets_through(cable: Cable) -> None:
    app = create_app(Settings.model_validate({"broker_url": cable.url, "queues": "faults"}))
    ringer = Ringer(app)

    def ring() -> tuple[bool, float]:
        began = time.monotonic()
        answer = ringer.ring("faults")
        assert answer is not None
        return answer.result(60), time.monotonic() - began

    try:
        assert [ring()[0], ring()[0]] == [True, True]
        cable.proxy.go_silent()
        lost, took = ring()
        following, took_then = ring()
    finally:
        ringer.close()
        app.close()

    assert (lost, following) == (False, True)
    assert took < PUBLISHER_NOTICES_SECONDS
    assert took_then < 2


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_rings_have_a_queue_of_the_kind_that_is_set(rabbitmq: RabbitMQ, kind: str) -> None:
    app = create_app(Settings.model_validate({"broker_url": rabbitmq.url, "queues": kind, "rabbitmq_queue_type": kind}))
    ringer = Ringer(app, threads=1)
    try:
        answer = ringer.ring(kind)
        assert answer is not None
        assert answer.result(30)
    finally:
        ringer.close()
        app.close()

    other = {"x-queue-type": "quorum" if kind == "classic" else "classic"}
    with Connection(rabbitmq.url) as connection, pytest.raises(connection.channel_errors, match="x-queue-type"):
        connection.default_channel.queue_declare(broker_queue(kind), durable=True, auto_delete=False, arguments=other)


def test_rings_that_nobody_hears_do_not_fill_the_memory_of_valkey(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helixnet.broker.MOST_WAITING", 5)
    app = create_app(Settings.model_validate({"broker_url": valkey.broker_url, "queues": "unheard"}))
    ringer = Ringer(app, threads=1)
    try:
        for _ in range(20):
            answer = ringer.ring("unheard")
            if answer is not None:
                answer.result(10)
    finally:
        ringer.close()
        app.close()

    with Connection(valkey.broker_url) as connection:
        assert connection.default_channel.client.llen(broker_queue("unheard")) == 5


@pytest.fixture(scope="module")
def wired(cable: Cable) -> Iterator[Stack]:
    """A HelixNet on that broker, with quorum queues in RabbitMQ.

    Beat sweeps once, as it starts, and not again, and no worker looks for work: whatever runs later was rung for.
    """
    with tempfile.TemporaryDirectory(prefix="helix-own-", ignore_cleanup_errors=True) as folder:
        environment = {
            "HELIX_BROKER_URL": cable.url,
            "HELIX_RABBITMQ_QUEUE_TYPE": "quorum",
            "HELIX_HOUSEKEEPING_SECONDS": "3600",
            "HELIX_LOOK_SECONDS": "0",
        }
        stack = Stack(Path(folder) / "home", environment)
        stack.start()
        yield stack
        code = stack.stop()
        assert code == 0, stack.log


def connections(process: psutil.Process, cable: Cable) -> set[int]:
    """A process's connections to the broker, by its own ports."""
    return {
        each.laddr.port for each in process.net_connections("tcp") if each.raddr and each.raddr.port == cable.proxy.port
    }


def test_a_worker_leaves_a_dead_connection_and_hears_the_rings_on_a_new_one(wired: Stack, cable: Cable) -> None:
    helix = wired.client()
    assert helix.wait(helix.submit("core.echo").job_id, 30).status == "COMPLETED"
    running = helix.submit("core.sleep", {"seconds": 600}).job_id
    helix.wait(running, 20, until={"IN_PROGRESS"})
    worker = wired.part("worker")
    dead = connections(worker, cable)
    cable.proxy.go_silent()
    before: list[UUID] = []
    after: list[UUID] = []

    def one_more_was_submitted_and_one_has_run() -> bool:
        # A ring that came before the silence may still be on its way inside the worker: what runs before there is a
        # new connection shows nothing.
        jobs = after if connections(worker, cable) - dead else before
        began = time.monotonic()
        jobs.append(helix.submit("core.echo").job_id)
        assert time.monotonic() - began < 2, "the answer does not wait for the broker"
        time.sleep(0.2)
        return any(helix.job(job_id).status == "COMPLETED" for job_id in after)

    wait_until(one_more_was_submitted_and_one_has_run, "the worker hears rings again", WORKER_NOTICES_SECONDS)

    assert {helix.wait(job_id, 10).status for job_id in before + after} == {"COMPLETED"}
    assert (helix.job(running).status, helix.job(running).attempt) == ("IN_PROGRESS", 1), "it costs a job nothing"
    assert "worker ended" not in wired.log
    helix.cancel(running)


def test_a_worker_makes_no_queues_for_tasks_with_an_eta(wired: Stack, cable: Cable) -> None:
    helix = wired.client()
    assert helix.wait(helix.submit("core.echo").job_id, 30).status == "COMPLETED"

    with Connection(cable.url) as connection, pytest.raises(connection.channel_errors, match=r"404|NOT_FOUND"):
        connection.default_channel.queue_declare("celery_delayed_0", passive=True)
