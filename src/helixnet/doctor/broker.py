"""The broker: does it take messages and confirm them, and do its queues fit what the ledger and the settings say."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Producer

from helixnet import broker
from helixnet.config import Settings
from helixnet.doctor.findings import Finding, error, note, ok, plain, said, warning, words
from helixnet.doctor.waiting import in_thread

# What the brokers have as they come. RabbitMQ's can't be asked for over AMQP.
CONSUMER_TIMEOUT = timedelta(minutes=30)
VISIBILITY_TIMEOUT = timedelta(hours=1)
CONNECT_SECONDS = 3
TEST_QUEUE_SECONDS = 60
PRECONDITION_FAILED = 406
NOT_FOUND = 404
# A worker waits for this long at a time on a connection that says nothing.
LONGEST_SILENCE_SECONDS = 2 * broker.HEARTBEAT_SECONDS


@dataclass(slots=True)
class Visit:
    """What a visit to the broker showed; of each queue the rings that wait, and who listens (None: not told)."""

    version: str = ""
    heartbeat_seconds: float | None = None
    queues: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    of_another_type: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)


async def examine(settings: Settings, names: Iterable[str], longest: timedelta) -> tuple[list[Finding], Visit | None]:
    """What is found at the broker, for these queues; `longest` is how long a job may run."""
    wanted = sorted({*names, *settings.queue_names})
    try:
        visit = await in_thread(lambda: _visit(settings, wanted))
    except Exception as problem:  # noqa: BLE001 - whatever the broker's client raises, it did not do its work
        return [
            error(
                "broker.reachable",
                f"The broker takes no message: {said(problem, settings)}",
                "Start it, or correct HELIX_BROKER_URL; until then jobs are accepted and wait.",
            )
        ], None
    redis = settings.broker_url.get_secret_value().startswith("redis")
    name = "Valkey or Redis" if redis else "RabbitMQ"
    found = [ok("broker.reachable", f"{name} {plain(visit.version)} takes, confirms and hands out messages.")]
    found += _of_redis(visit, longest) if redis else _of_rabbitmq(visit, settings, longest)
    for queue, (rings, _listeners) in visit.queues.items():
        if rings >= broker.MOST_WAITING:
            found.append(
                warning(
                    "broker.rings",
                    f"{rings} rings wait for the queue {plain(queue)}: nobody takes them.",
                    f"Start a worker with {plain(queue)} in its HELIX_QUEUES.",
                )
            )
    return found, visit


def _visit(settings: Settings, names: list[str]) -> Visit:
    app = broker.create_app(settings)
    visit = Visit()
    with app.connection_for_write(heartbeat=broker.HEARTBEAT_SECONDS) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=CONNECT_SECONDS)
        _try_out(connection)
        if settings.broker_url.get_secret_value().startswith("redis"):
            _look_at_redis(connection, visit, names)
        else:
            _look_at_rabbitmq(connection, visit, names, app)
    return visit


def _try_out(connection: Connection) -> None:
    """Send a message to a queue of our own, with the broker's word for it, and get it back."""
    name = f"helixnet-doctor-{uuid.uuid4().hex}"
    with connection.channel() as channel:
        queue = Queue(name, durable=False, exclusive=True, auto_delete=True, expires=TEST_QUEUE_SECONDS, no_ack=True)(
            channel
        )
        queue.queue_declare()
        try:
            Producer(channel).publish(
                {"doctor": name},
                routing_key=name,
                serializer="json",
                retry=False,
                confirm_timeout=broker.CONFIRM_SECONDS,
            )
            message = queue.get(no_ack=True)
            if message is None or message.payload != {"doctor": name}:
                raise ConnectionError("it took a message and did not hand it out")
        finally:
            queue.delete()


def _look_at_redis(connection: Connection, visit: Visit, names: list[str]) -> None:
    client: Any = connection.default_channel.client  # type: ignore[attr-defined] # the Redis transport's has one
    about = client.info("server")
    visit.version = _text(about.get("valkey_version") or about.get("redis_version", ""))
    for name in names:
        visit.queues[name] = int(client.llen(broker.broker_queue(name))), None
    for option in ("timeout", "maxmemory", "maxmemory-policy"):
        try:
            answer: Mapping[Any, Any] = client.config_get(option)
        except Exception:  # noqa: BLE001, S112 - a hosted server may keep its configuration to itself
            continue
        visit.options |= {_text(key): _text(value) for key, value in answer.items()}
    options = connection.transport_options or {}
    visibility = options.get("visibility_timeout", VISIBILITY_TIMEOUT.total_seconds())
    visit.options["visibility_timeout"] = str(visibility)


def _look_at_rabbitmq(connection: Connection, visit: Visit, names: list[str], app: Celery) -> None:
    properties = connection.connection.server_properties
    visit.version = _text(properties.get("version", ""))
    visit.heartbeat_seconds = float(connection.get_heartbeat_interval() or 0)
    arguments = app.conf.task_queues[0].queue_arguments
    for name in names:
        try:
            with connection.channel() as channel:
                declared = broker.ring_queue(name, arguments)(channel).queue_declare(passive=True)
        except connection.channel_errors as problem:
            if getattr(problem, "reply_code", None) == NOT_FOUND:
                continue  # whoever rings first makes it
            raise
        visit.queues[name] = int(declared.message_count), int(declared.consumer_count)
        try:
            with connection.channel() as channel:
                broker.ring_queue(name, arguments)(channel).queue_declare()
        except connection.channel_errors as problem:
            if getattr(problem, "reply_code", None) != PRECONDITION_FAILED:
                raise
            visit.of_another_type.append(name)


def _of_rabbitmq(visit: Visit, settings: Settings, longest: timedelta) -> list[Finding]:
    found = []
    if visit.of_another_type:
        queues = ", ".join(broker.broker_queue(name) for name in visit.of_another_type)
        found.append(
            error(
                "broker.queue_type",
                f"RabbitMQ holds {plain(queues)} with other properties than queues of the type "
                f"{settings.rabbitmq_queue_type} have: no ring gets through.",
                "Stop the workers and delete these queues (rings may be lost), or set HELIX_RABBITMQ_QUEUE_TYPE.",
            )
        )
    if not visit.heartbeat_seconds:
        found.append(
            warning(
                "broker.heartbeat",
                "RabbitMQ agreed to no heartbeat: a connection that died in silence is noticed late.",
                "Set heartbeat to more than 0 in rabbitmq.conf.",
            )
        )
    else:
        found.append(ok("broker.heartbeat", f"Heartbeats are agreed, every {visit.heartbeat_seconds:g} s."))
    if longest > CONSUMER_TIMEOUT:
        found.append(
            note(
                "broker.consumer_timeout",
                "RabbitMQ's consumer_timeout (30 min unless it is set) is shorter than a job may run "
                f"({words(longest)}): it touches no running job; a worker that is wholly busy for so long reconnects.",
                f"Set consumer_timeout = {int(2 * longest.total_seconds() * 1000)} in rabbitmq.conf to spare it that.",
            )
        )
    return found


def _of_redis(visit: Visit, longest: timedelta) -> list[Finding]:
    found = []
    timeout = int(visit.options.get("timeout", "0"))
    if 0 < timeout <= LONGEST_SILENCE_SECONDS:
        found.append(
            warning(
                "broker.timeout",
                f"The broker hangs up on clients that say nothing for {timeout} s; a worker's wait takes longer.",
                "Set timeout = 0 in valkey.conf: tcp-keepalive finds the dead ones.",
            )
        )
    policy = visit.options.get("maxmemory-policy", "noeviction")
    if visit.options.get("maxmemory", "0") != "0" and policy != "noeviction":
        found.append(
            warning(
                "broker.eviction",
                f"When its memory is full the broker throws away what it holds ({plain(policy)}), rings too.",
                "Set maxmemory-policy = noeviction, or give the broker a server of its own.",
            )
        )
    visibility = timedelta(seconds=float(visit.options["visibility_timeout"]))
    if longest > visibility:
        found.append(
            note(
                "broker.visibility_timeout",
                f"The visibility timeout ({words(visibility)}) is shorter than a job may run ({words(longest)}): "
                "no job runs twice by it, as rings are acknowledged before the work.",
            )
        )
    return found


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
