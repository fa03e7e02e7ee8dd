"""RabbitMQ as the doctor finds it, with queues that do not fit."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from kombu.connection import Connection

from helixnet import broker
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.doctor import Level, examine
from helixnet.stack.rabbitmq import RabbitMQ
from tests.doctor.conftest import troubles
from tests.jobs.conftest import Ledger

# With the other tests that use this server: starting it takes a while.
pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("broker-faults")]
MakeSettings = Callable[..., Settings]


@pytest.fixture
def amqp(rabbitmq: RabbitMQ, make_settings: MakeSettings) -> Settings:
    return make_settings(broker_url=rabbitmq.url, queues="doctored")


def declare(settings: Settings, name: str, kind: str) -> None:
    with Connection(settings.broker_url.get_secret_value()) as connection, connection.channel() as channel:
        broker.ring_queue(name, {"x-queue-type": kind})(channel).declare()


def delete(settings: Settings, name: str) -> None:
    with Connection(settings.broker_url.get_secret_value()) as connection, connection.channel() as channel:
        channel.queue_delete(broker.broker_queue(name))


async def test_a_rabbitmq_that_is_well(amqp: Settings) -> None:
    report = await examine(amqp)

    assert troubles(report) == {}
    assert report.of("broker.heartbeat")[0].level is Level.OK


async def test_queues_of_another_type(amqp: Settings) -> None:
    declare(amqp, "doctored", "classic")
    try:
        report = await examine(amqp)
    finally:
        delete(amqp, "doctored")

    assert troubles(report) == {"broker.queue_type": Level.ERROR}
    assert "helixnet.doctored" in report.of("broker.queue_type")[0].message


async def test_workers_that_listen_to_another_broker(amqp: Settings, database: Database) -> None:
    ledger = Ledger(database)
    await ledger.worker()
    await ledger.submit(time_limit=timedelta(hours=2))
    declare(amqp, "default", "quorum")
    try:
        report = await examine(amqp)
    finally:
        delete(amqp, "default")

    assert troubles(report) == {"broker.listeners": Level.ERROR}
    assert report.of("broker.consumer_timeout")[0].level is Level.NOTE


async def test_a_password_that_rabbitmq_does_not_take(amqp: Settings, make_settings: MakeSettings) -> None:
    user, _, rest = amqp.broker_url.get_secret_value().removeprefix("amqp://").partition(":")
    address = f"amqp://{user}:hunter2pass@{rest.rpartition('@')[2]}"

    report = await examine(make_settings(broker_url=address))

    assert troubles(report) == {"broker.reachable": Level.ERROR}
    assert "hunter2pass" not in repr(report.as_dict())
