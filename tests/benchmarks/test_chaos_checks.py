"""The checks of `make chaos` find what is planted: a run without violations means something."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import uuid_utils.compat as uuids

from benchmarks import chaos_checks as checks
from benchmarks.chaos_answers import Right, right_json
from benchmarks.chaos_load import Promise

ANSWER = '{"message":"hello"}'
RIGHT = right_json({"message": "hello"})
GOOD_LIFE = (("PENDING", 0), ("IN_PROGRESS", 1), ("COMPLETED", 1))


@dataclass
class Planted:
    """A database and an object folder with made-up content."""

    connection: "psycopg.Connection[tuple[object, ...]]"
    objects: Path
    owner: UUID = field(default_factory=uuids.uuid7)
    promises: list[Promise] = field(default_factory=list)

    def job(
        self,
        *life: tuple[str, int],
        status: str = "COMPLETED",
        result: str | None = ANSWER,
        result_path: str | None = None,
        right: Right = RIGHT,
        max_attempts: int = 3,
    ) -> UUID:
        """A job that was promised, with the events of its life as (kind, attempt)."""
        life = life or GOOD_LIFE
        job_id = uuids.uuid7()
        attempt = max(attempt for _kind, attempt in life)
        self.connection.execute(
            """
            INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, attempt,
                              max_attempts, time_limit, result, result_path, events)
            VALUES (%s, %s, 'core.echo', '{}', '{}', 'default', 4, %s, %s, %s, '5 minutes', %s, %s, %s)
            """,
            (job_id, self.owner, status, attempt, max_attempts, result, result_path, len(life)),
        )
        for seq, (kind, number) in enumerate(life, 1):
            self.event(job_id, seq, kind, number)
        self.promises.append(Promise(job_id, "echo", right))
        return job_id

    def event(self, job_id: UUID, seq: int, kind: str, attempt: int) -> None:
        self.connection.execute(
            "INSERT INTO job_events (job_id, seq, owner_id, kind, attempt) VALUES (%s, %s, %s, %s, %s)",
            (job_id, seq, self.owner, kind, attempt),
        )

    def object(self, key: str, content: bytes, sha256: str | None = None) -> str:
        """A stored object with its row."""
        path = self.objects / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.connection.execute(
            """
            INSERT INTO artifacts (id, owner_id, storage_key, filename, media_type, size, sha256)
            VALUES (%s, %s, %s, 'a', 'text/plain', %s, %s)
            """,
            (uuids.uuid7(), self.owner, key, len(content), sha256 or hashlib.sha256(content).hexdigest()),
        )
        return key

    def rules(self) -> list[str]:
        """The rules that are broken, as the checks find them."""
        rows = checks.jobs(self.connection)
        found = [
            *checks.check_promises(rows, self.promises, self.objects),
            *checks.check_histories(self.connection, rows),
            *checks.check_batches(self.connection),
            *checks.check_objects(self.connection, self.objects),
        ]
        assert all(violation.found for violation in found)
        return [violation.rule for violation in found]


@pytest.fixture
def planted(database_url: str, tmp_path: Path) -> Iterator[Planted]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Planted(connection, tmp_path)


def test_nothing_is_found_where_all_is_well(planted: Planted) -> None:
    planted.job()
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1), ("PENDING", 1), ("IN_PROGRESS", 2), ("COMPLETED", 2))
    key = planted.object("jobs/o/j/attempt-1/result.json", ANSWER.encode())
    planted.job(result_path=key)

    assert planted.rules() == []


def test_a_promised_job_that_is_nowhere_is_found(planted: Planted) -> None:
    planted.promises.append(Promise(uuids.uuid7(), "echo", RIGHT))

    assert planted.rules() == ["lost"]


@pytest.mark.parametrize("status", ["PENDING", "IN_PROGRESS"])
def test_a_job_without_an_end_is_found(planted: Planted, status: str) -> None:
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1), status=status)

    assert planted.rules() == ["unfinished"]


def test_two_terminal_events_are_found(planted: Planted) -> None:
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1), ("COMPLETED", 1), ("COMPLETED", 1))

    assert planted.rules() == ["not one terminal event"]


def test_an_end_that_no_event_tells_is_found(planted: Planted) -> None:
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1))

    assert planted.rules() == ["not one terminal event"]


def test_an_attempt_after_the_end_is_found(planted: Planted) -> None:
    planted.job(*GOOD_LIFE, ("IN_PROGRESS", 2))

    assert planted.rules() == ["row and event differ", "attempt after the end"]


def test_any_event_after_the_end_is_found(planted: Planted) -> None:
    planted.job(*GOOD_LIFE, ("PROGRESS", 1))

    assert planted.rules() == ["event after the end"]


def test_an_attempt_that_two_workers_began_is_found(planted: Planted) -> None:
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1), ("IN_PROGRESS", 1), ("COMPLETED", 1))

    assert planted.rules() == ["attempt begun twice"]


def test_a_given_up_attempt_that_ended_its_successors_job_is_found(planted: Planted) -> None:
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1), ("PENDING", 1), ("IN_PROGRESS", 2), ("COMPLETED", 1))

    assert planted.rules() == ["row and event differ"]


def test_a_missing_event_is_found(planted: Planted) -> None:
    job_id = planted.job(*GOOD_LIFE)
    planted.connection.execute("DELETE FROM job_events WHERE job_id = %s AND seq = 2", (job_id,))

    assert planted.rules() == ["gap in the events"]


def test_a_job_and_events_that_miss_each_other_are_found(planted: Planted) -> None:
    mute = planted.job()
    planted.connection.execute("DELETE FROM job_events WHERE job_id = %s", (mute,))
    planted.event(uuids.uuid7(), 1, "PENDING", 0)

    assert sorted(planted.rules()) == ["event without a job", "job without events"]


def test_a_wrong_result_in_the_row_is_found(planted: Planted) -> None:
    planted.job(result='{"message":"hullo"}')

    assert planted.rules() == ["wrong result"]


def test_a_completed_job_without_a_result_is_found(planted: Planted) -> None:
    planted.job(result=None)

    assert planted.rules() == ["wrong result"]


def test_a_wrong_result_in_storage_is_found(planted: Planted) -> None:
    key = planted.object("jobs/o/j/attempt-1/result.json", b'{"message":"hullo"}')
    planted.job(result=None, result_path=key)

    assert planted.rules() == ["wrong result"]


def test_the_result_of_an_attempt_that_was_given_up_is_found(planted: Planted) -> None:
    key = planted.object("jobs/o/j/attempt-1/result.json", ANSWER.encode())
    planted.job(
        ("PENDING", 0), ("IN_PROGRESS", 1), ("PENDING", 1), ("IN_PROGRESS", 2), ("COMPLETED", 2), result_path=key
    )

    assert planted.rules() == ["wrong result"]


def test_a_failure_before_the_attempts_are_spent_is_found(planted: Planted) -> None:
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1), ("FAILED", 1), status="FAILED", result=None)

    assert planted.rules() == ["wrong end"]


def test_a_job_that_lost_all_its_attempts_to_chaos_may_fail(planted: Planted) -> None:
    planted.job(("PENDING", 0), ("IN_PROGRESS", 1), ("FAILED", 1), status="FAILED", result=None, max_attempts=1)

    assert planted.rules() == []


def test_a_job_that_succeeded_where_it_had_to_be_rejected_is_found(planted: Planted) -> None:
    planted.job(right=Right(frozenset({"FAILED"})))

    assert planted.rules() == ["wrong end"]


def test_an_object_that_belongs_to_nobody_is_found(planted: Planted) -> None:
    planted.object("jobs/o/j/inputs/content_key/a.txt", b"known")
    (planted.objects / "jobs/o/j/inputs/content_key/b.txt").write_bytes(b"unknown")

    assert planted.rules() == ["orphan object"]


def test_an_object_that_is_gone_is_found(planted: Planted) -> None:
    key = planted.object("jobs/o/j/inputs/content_key/a.txt", b"content")
    (planted.objects / key).unlink()

    assert planted.rules() == ["missing object"]


@pytest.mark.parametrize("content", [b"cut", b"changed"])
def test_an_object_that_is_not_what_its_row_says_is_found(planted: Planted, content: bytes) -> None:
    key = planted.object("jobs/o/j/inputs/content_key/a.txt", b"content")
    (planted.objects / key).write_bytes(content)

    assert planted.rules() == ["damaged object"]


def test_a_batch_that_lacks_a_job_is_found(planted: Planted) -> None:
    batch_id = uuids.uuid7()
    planted.connection.execute("INSERT INTO batches (id, owner_id, size) VALUES (%s, %s, 2)", (batch_id, planted.owner))
    job_id = planted.job()
    planted.connection.execute("UPDATE jobs SET batch_id = %s WHERE id = %s", (batch_id, job_id))

    assert planted.rules() == ["torn batch"]
