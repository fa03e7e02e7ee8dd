"""table.query through HTTP, on a whole HelixNet: the example, a profile, and what must not harm the worker."""

import gzip
import json
from pathlib import Path

import pytest

from helixnet.client import Client
from helixnet.jobs.schemas import JobView
from tests.conftest import Stack
from tests.processors.tables import EXAMPLE

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 1"


def ended(
    helix: Client, folder: Path, content: bytes, sql: str, name: str = "content.csv", **params: object
) -> JobView:
    """The job for this content and SQL, once it has ended."""
    (folder / name).write_bytes(content)
    (folder / "context.sql").write_text(sql)
    accepted = helix.upload(
        content=folder / name, context=folder / "context.sql", processor="table.query", params=json.dumps(params)
    )
    return helix.wait(accepted.job_id, 60)


def test_the_example_runs_through_http(stack: Stack, tmp_path: Path) -> None:
    helix = stack.client()

    job = ended(
        helix, tmp_path, (EXAMPLE / "content.csv").read_bytes(), (EXAMPLE / "context.sql").read_text(), output="csv"
    )

    assert (job.status, job.error) == ("COMPLETED", None)
    assert job.result_content["preview"]["rows"][0][:2] == ["north", "Thursday"]
    stored = {artifact.filename: artifact for artifact in helix.artifacts(job.job_id)}
    assert stored["result.csv"].media_type == "text/csv"
    assert stored["result.csv"].size == job.result_content["artifact"]["size"]


def test_without_sql_the_columns_are_profiled(stack: Stack, tmp_path: Path) -> None:
    job = ended(stack.client(), tmp_path, (EXAMPLE / "content.csv").read_bytes(), "-- nothing asked")

    assert job.status == "COMPLETED"
    assert job.result_content["kind"] == "profile"
    assert job.result_content["row_count"] == 427


@pytest.mark.parametrize(
    ("content", "sql", "name", "kind", "says"),
    [
        (b"a\n1\n", "SELECT * FROM read_text('/etc/passwd')", "a.csv", "input", "read_text"),
        (b"a\n1\n", "INSTALL httpfs", "a.csv", "input", "Only SELECT"),
        (b"a\n1\n", "ATTACH '/tmp/x.db'", "a.csv", "input", "Only SELECT"),
        (b"a\n1\n", ENDLESS, "a.csv", "limit", "max_seconds"),
        (b"a\n1\n", "SELECT length(repeat('x', 4000000000))", "a.csv", "limit", "memory"),
        (gzip.compress(bytes(64 * 1024**2), mtime=0), "SELECT 1 FROM content", "a.csv.gz", "input", "zero bytes"),
        (b"PAR1" + bytes(200) + b"PAR1", "SELECT 1 FROM content", "a.parquet", "input", "can't be read"),
    ],
)
def test_what_is_hostile_fails_for_good_and_the_worker_goes_on(
    stack: Stack, tmp_path: Path, content: bytes, sql: str, name: str, kind: str, says: str
) -> None:
    helix = stack.client()

    job = ended(helix, tmp_path, content, sql, name, max_seconds=2)

    assert (job.status, job.attempt) == ("FAILED", 1)
    assert job.error is not None
    assert job.error.kind == kind
    assert says in job.error.message
    assert helix.wait(helix.submit("core.echo").job_id, 30).status == "COMPLETED"
