"""The same promises on both brokers, whatever happens to the broker."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from kombu.connection import Connection

from helixnet.broker import EXPIRES_SECONDS, TASK, broker_queue, create_app
from helixnet.config import Settings
from helixnet.stack.home import Home
from helixnet.stack.rabbitmq import MissingRabbitMQ, RabbitMQ
from tests.conftest import Stack, wait_until
from tests.worker import late
from tests.worker.test_drills import assert_completed_once, start_sleeping, states

# RabbitMQ closes the channel of a consumer that owes an acknowledgement for so long (half an hour otherwise), and looks
# this often (each minute otherwise).
IMPATIENT_RABBITMQ = "[{rabbit, [{consumer_timeout, 2000}, {channel_tick_interval, 500}]}]."
LONGER_THAN_ANY_BROKER_WAITS_SECONDS = 6.0
BROKERS = [pytest.param(name, marks=pytest.mark.xdist_group(f"broker-{name}")) for name in ("valkey", "rabbitmq")]
pytestmark = [pytest.mark.drill, pytest.mark.parametrize("broker", BROKERS, indirect=True, scope="module")]


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest) -> str:
    """The broker's name; skips RabbitMQ where it is not installed."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def drilled(broker: str) -> Iterator[Stack]:
    """A HelixNet on one of the brokers, which is as impatient as it can be made."""
    with tempfile.TemporaryDirectory(prefix="helix-own-", ignore_cleanup_errors=True) as folder:
        home = Home.make(Path(folder) / "home")
        if broker == "rabbitmq":
            rabbitmq = RabbitMQ(home.rabbitmq)
            try:
                rabbitmq.initialize()
            except MissingRabbitMQ as error:
                pytest.skip(str(error))
            (home.rabbitmq / "advanced.config").write_text(IMPATIENT_RABBITMQ)
        stack = Stack(home.path, {"HELIX_LEASE_SECONDS": "3"}, ("--broker", broker))
        stack.start()
        yield stack
        assert stack.stop() == 0, stack.log


def broker_url(stack: Stack) -> str:
    state = Home(stack.home).read_state()
    assert state is not None
    return state["HELIX_BROKER_URL"]


@contextmanager
def frozen(*processes: psutil.Process) -> Iterator[None]:
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextmanager
def frozen_worker(stack: Stack) -> Iterator[None]:
    worker = stack.part("worker")
    with frozen(worker, *worker.children()):
        yield


def upload(stack: Stack) -> tuple[UUID, float]:
    """Submit what users submit; answers the job's id, and how long the answer took."""
    before = time.monotonic()
    answer = stack.http(stack.client()).post(
        "/api/v1/jobs/upload",
        files={"content_key": ("a.txt", b"The moon is far. The sun is farther."), "context_key": ("b.txt", b"sun")},
    )
    assert answer.status_code == 201
    return UUID(answer.json()["job_id"]), time.monotonic() - before


def test_an_uploaded_job_runs_to_its_result(drilled: Stack) -> None:
    job_id, _ = upload(drilled)

    job = drilled.client().wait(job_id, 30)

    assert (job.status, job.attempt) == ("COMPLETED", 1)
    assert job.result_path is not None
    assert states(drilled.client(), job_id) == ["PENDING", "IN_PROGRESS", "COMPLETED"]


def test_a_broker_killed_in_the_middle_of_a_job_costs_the_job_nothing(drilled: Stack, broker: str) -> None:
    helix = drilled.client()
    job_id = start_sleeping(helix)

    old = drilled.part(broker).pid

    drilled.kill(broker)

    assert_completed_once(helix, helix.wait(job_id, 40), attempt=1)
    wait_until(lambda: drilled.is_back(broker, old), f"{broker} is back", 60)


def test_a_broker_that_was_restarted_while_nothing_ran_is_found_again(drilled: Stack, broker: str) -> None:
    old = drilled.part(broker).pid
    drilled.kill(broker)
    wait_until(lambda: drilled.is_back(broker, old), f"{broker} is back", 40)

    job_id, took = upload(drilled)

    assert drilled.client().wait(job_id, 40).status == "COMPLETED"
    assert took < 5, "the answer does not wait for the broker"


def test_without_a_broker_uploads_are_accepted_and_run(drilled: Stack, broker: str) -> None:
    old = drilled.part(broker).pid
    with drilled.frozen_supervisor():
        drilled.kill(broker)
        job_id, took = upload(drilled)
        job = drilled.client().wait(job_id, 60)
    wait_until(lambda: drilled.is_back(broker, old), f"{broker} is back", 60)

    assert took < 5, "the answer does not wait for the broker"
    assert (job.status, job.attempt) == ("COMPLETED", 1)


def test_a_frozen_broker_keeps_no_upload_from_being_accepted(drilled: Stack, broker: str) -> None:
    with frozen(drilled.part(broker)):
        accepted = [upload(drilled) for _ in range(5)]

    for job_id, took in accepted:
        assert took < 3, "the answer does not wait for the broker"
        job = drilled.client().wait(job_id, 40)
        assert (job.status, job.attempt) == ("COMPLETED", 1)


def test_a_ring_names_a_queue_and_no_job_and_says_when_it_is_of_no_use_any_more(drilled: Stack, broker: str) -> None:
    helix = drilled.client()
    helix.wait(helix.submit("core.echo").job_id, 30)
    with frozen_worker(drilled), Connection(broker_url(drilled)) as connection:
        # The frozen worker's own connection swallows the first ones.
        jobs = [helix.submit("core.echo", {"message": "a secret"}).job_id for _ in range(10)]
        channel = connection.default_channel
        rings = []

        def a_ring_came() -> bool:
            rings.append(channel.basic_get(broker_queue("default"), no_ack=True))
            return bool(rings[-1])

        wait_until(a_ring_came, "there is a ring")
        ring = rings[-1]
        now = datetime.now(UTC)
        everything = f"{ring.body!r} {ring.headers} {ring.properties}"
        args, kwargs, _embedded = json.loads(ring.body)

    assert (args, kwargs) == (["default"], {})
    assert "a secret" not in everything
    assert not any(str(job_id) in everything for job_id in jobs)
    assert now < datetime.fromisoformat(ring.headers["expires"]) <= now + timedelta(seconds=EXPIRES_SECONDS)
    if broker == "rabbitmq":
        assert ring.properties["expiration"] == str(1000 * EXPIRES_SECONDS), "RabbitMQ itself throws it away"
        assert ring.properties["delivery_mode"] == 1, "and writes nothing to its disk"
    assert {helix.wait(job_id, 30).status for job_id in jobs} == {"COMPLETED"}


def test_spare_rings_and_old_ones_do_no_harm(drilled: Stack) -> None:
    helix = drilled.client()
    app = create_app(Settings(broker_url=broker_url(drilled), rabbitmq_queue_type="classic"))
    told = len(drilled.log)
    for number in range(60):
        app.send_task(
            TASK, args=("default",), queue=broker_queue("default"), expires=0 if number % 2 else EXPIRES_SECONDS
        )
    app.close()

    job_id = helix.submit("core.echo").job_id

    assert helix.wait(job_id, 30).status == "COMPLETED"
    assert states(helix, job_id) == ["PENDING", "IN_PROGRESS", "COMPLETED"]
    assert "ERROR" not in drilled.log[told:]


def test_while_a_job_runs_valkey_waits_for_no_acknowledgement(drilled: Stack, broker: str) -> None:
    if broker != "valkey":
        pytest.skip("Valkey can be asked; RabbitMQ is in the next test")
    helix = drilled.client()
    job_id = start_sleeping(helix)

    with Connection(broker_url(drilled)) as connection:
        unacked = connection.default_channel.client
        wait_until(lambda: unacked.hlen("unacked") == 0, "every ring is acknowledged", 2)

    assert helix.job(job_id).status == "IN_PROGRESS"
    assert_completed_once(helix, helix.wait(job_id, 40), attempt=1)


def test_a_killed_worker_leaves_no_ring_to_be_delivered_again(drilled: Stack, broker: str) -> None:
    if broker != "rabbitmq":
        pytest.skip("a matter of RabbitMQ, which delivers again what a lost consumer owes")
    helix = drilled.client()
    job_id = start_sleeping(helix)
    worker = drilled.part("worker")
    with ExitStack() as opened:
        channel = opened.enter_context(Connection(broker_url(drilled))).default_channel

        def look() -> tuple[int, int]:
            found = channel.queue_declare(broker_queue("default"), passive=True)
            return found.message_count, found.consumer_count

        wait_until(lambda: look()[0] == 0, "no other ring is in the queue")
        opened.enter_context(drilled.frozen_supervisor())
        opened.enter_context(frozen(drilled.part("beat")))
        for process in (worker, *worker.children()):
            process.kill()
        wait_until(lambda: look()[1] == 0, "the worker's consumer is forgotten")
        delivered_again = look()[0]

    assert delivered_again == 0
    assert_completed_once(helix, helix.wait(job_id, 40), attempt=2)


@contextmanager
def ordinary_worker(stack: Stack, log: Path) -> Iterator[None]:
    """A worker of the application that acknowledges late, on the same broker."""
    environment = os.environ | {"BROKER": broker_url(stack)}
    command = [sys.executable, "-m", "celery", "-A", "tests.worker.late", "worker", "-c2", "-lwarning", "-n", "late@%h"]
    with log.open("wb") as output:
        worker = subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        worker.send_signal(signal.SIGQUIT)
        worker.wait(20)


def test_jobs_longer_than_every_timeout_of_the_broker_run_once(drilled: Stack, tmp_path: Path) -> None:
    helix = drilled.client()
    diary = tmp_path / "diary"
    diary.touch()
    old = drilled.part("worker").pid
    with ordinary_worker(drilled, tmp_path / "late.log"):
        with late.app.connection_for_write(broker_url(drilled)) as connection:
            late.sleep.apply_async((str(diary), LONGER_THAN_ANY_BROKER_WAITS_SECONDS), connection=connection)
        wait_until(lambda: diary.read_text() == "began\n", "the ordinary task has begun")
        # As many as there are processes: rings for the others wait in the worker, and the broker for them.
        long = [helix.submit("core.sleep", {"seconds": LONGER_THAN_ANY_BROKER_WAITS_SECONDS}).job_id for _ in range(2)]
        for job_id in long:
            helix.wait(job_id, 20, until={"IN_PROGRESS"})
        others = [helix.submit("core.echo").job_id for _ in range(5)]
        ended = [helix.wait(job_id, 30) for job_id in (*long, *others)]
        wait_until(lambda: diary.read_text().count("began") >= 2, "the ordinary task ran a second time", 20)

    assert {(job.status, job.attempt) for job in ended} == {("COMPLETED", 1)}
    for job in ended:
        assert states(helix, job.job_id) == ["PENDING", "IN_PROGRESS", "COMPLETED"]
    assert drilled.part("worker").pid == old, "the worker lives on"
