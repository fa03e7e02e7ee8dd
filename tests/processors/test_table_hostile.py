"""table.query on what nobody vouches for: each ends with the right kind, within its limits, and the next one runs."""

import gzip
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from helixnet.processors.table import QUERY, engine
from helixnet.processors.table import problems as table_problems
from helixnet.worker.isolation.errors import ProcessorFailed
from tests.processors.sandbox import Sandbox
from tests.processors.tables import Tables

MEBIBYTE, GIBIBYTE = 1024**2, 1024**3
PEOPLE = "id,name\n1,Ada\n"


@pytest.fixture
def table(sandbox: Sandbox) -> Iterator[Tables]:
    tables = Tables(sandbox)
    yield tables
    assert tables.rows(PEOPLE, "SELECT name FROM content") == [["Ada"]], "the next one runs"


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Somebody else's object."""
    path = tmp_path / "other.csv"
    path.write_text("secret\n42\n")
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '{others}'",
        "SELECT * FROM read_csv('{others}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM '{folder}/*.csv'",
        "SELECT (SELECT content FROM read_text('/proc/self/environ'))",
        "SELECT * FROM content, LATERAL (SELECT * FROM read_blob(name))",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM read_csv('https://example.org/a.csv')",
        "SELECT * FROM 's3://bucket/a.parquet'",
        "SELECT * FROM parquet_metadata('{others}')",
        "SELECT * FROM sniff_csv('{others}')",
        "SELECT * FROM duckdb_settings()",
        "SELECT current_setting('temp_directory')",
        "FROM pg_catalog.pg_settings",
        "SHOW allowed_paths",
        "SELECT * FROM enable_logging(storage = 'file', storage_path = 'log')",
        "WITH x AS (COPY content TO 'spill/x.csv') SELECT * FROM x",
        "WITH x AS (COPY content TO '{folder}/x.csv') SELECT * FROM x",
        "WITH x AS (INSERT INTO content VALUES (2, 'Eve') RETURNING id) SELECT * FROM x",
        "COPY content TO '{folder}/x.csv'",
        "EXPORT DATABASE '{folder}'",
        "ATTACH '{others}' AS x",
        "ATTACH ':memory:' AS x",
        "INSTALL httpfs",
        "LOAD httpfs",
        "INSTALL httpfs; LOAD httpfs; SELECT 1",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "PRAGMA threads = 64",
        "CALL pragma_version()",
        "CREATE SECRET (TYPE s3)",
        "CREATE TABLE x AS SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXECUTE x",
    ],
)
def test_a_query_reads_and_writes_nothing_but_its_table(table: Tables, others: Path, sql: str) -> None:
    reject = table.refusal(PEOPLE, sql.format(others=others, folder=others.parent))

    assert reject.kind == "input"
    assert not (others.parent / "x.csv").exists()


LOCKED = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('{beside}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_text('{content}/../beside')",
    "SELECT * FROM read_text('{folder}/spill/../beside')",
    "SELECT * FROM read_parquet('https://example.org/a.parquet')",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{folder}/log')",
    "COPY (SELECT 1) TO '{folder}/copy.csv'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "EXPORT DATABASE '{folder}/export'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/new.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/beside'",
    "SET enable_external_access = true",
    "SET allowed_paths = ['/etc/passwd']",
    "SET temp_directory = '/etc'",
    "SET lock_configuration = false",
    "RESET memory_limit",
    "PRAGMA enable_profiling",
    "CREATE PERSISTENT SECRET (TYPE http)",
]


@pytest.mark.parametrize("statement", LOCKED)
def test_duckdb_itself_is_locked_whatever_it_is_told(tmp_path: Path, statement: str) -> None:
    content = tmp_path / "content"
    stored = tmp_path / "stored"
    stored.write_text(PEOPLE)
    content.symlink_to(stored)
    (tmp_path / "beside").write_text("secret")
    before = sorted(tmp_path.iterdir())
    connection = engine._locked(tmp_path, content)
    assert connection.execute(f"SELECT name FROM read_csv('{content}')").fetchall() == [("Ada",)]

    with pytest.raises(duckdb.Error):
        connection.execute(statement.format(folder=tmp_path, content=content, beside=tmp_path / "beside"))

    assert sorted({*tmp_path.iterdir()} - {tmp_path / "spill"}) == before
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 1",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
        "SELECT a.range FROM range(1000000000000) a ORDER BY hash(a.range) LIMIT 1",
    ],
)
def test_work_without_an_end_ends_with_its_time(table: Tables, sql: str) -> None:
    reject = table.refusal(PEOPLE, sql, max_seconds=2)

    assert reject.kind == "limit"
    assert reject.reason == "The work took longer than it may: 2 seconds (max_seconds)."


def test_work_that_takes_too_much_processor_time_is_killed(table: Tables) -> None:
    with pytest.raises(ProcessorFailed) as failed:
        table.ask(
            PEOPLE, "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 1",
            limits=replace(QUERY.limits, cpu_seconds=3),
        )  # fmt: skip

    assert (failed.value.kind, failed.value.type_name) == ("limit", "SIGXCPU")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('x', 4000000000))",
        "SELECT length(string_agg(repeat('x', 1000000), '')) FROM range(100000)",
        "SELECT len(list(repeat('x', 1000) || range)) FROM range(100000000)",
        "SELECT len(range(2000000000))",
    ],
)
def test_work_that_takes_too_much_memory_ends(table: Tables, sql: str) -> None:
    reject = table.refusal(PEOPLE, sql)

    assert (reject.kind, reject.reason) == ("limit", table_problems.MEMORY_FULL)


def test_a_text_longer_than_there_is_is_refused(table: Tables) -> None:
    assert table.refusal(PEOPLE, "SELECT repeat('x', 10000000000)").kind == "input"


def test_a_result_without_an_end_ends_with_its_size(table: Tables) -> None:
    limits = replace(QUERY.limits, file_bytes=8 * MEBIBYTE)

    reject = table.refusal(PEOPLE, "SELECT uuid() FROM range(1000000000000)", limits=limits)

    assert (reject.kind, reject.reason) == ("limit", table_problems.FILE_FULL)


def test_what_does_not_fit_on_the_disk_ends(table: Tables) -> None:
    limits = replace(QUERY.limits, file_bytes=8 * MEBIBYTE)

    reject = table.refusal(PEOPLE, "SELECT range, uuid() AS u FROM range(100000000) ORDER BY u", limits=limits)

    assert (reject.kind, reject.reason) == ("limit", table_problems.SPILL_FULL)


def test_ten_gigabytes_of_zeros_are_no_table(table: Tables, tmp_path: Path) -> None:
    path = tmp_path / "zeros.csv"
    path.touch()
    os.truncate(path, 10 * GIBIBYTE)

    assert "zero bytes" in table.refusal(path, "SELECT count(*) FROM content").reason

    packed = tmp_path / "zeros.csv.gz"
    packed.write_bytes(gzip.compress(bytes(64 * MEBIBYTE)) * 160)
    assert "zero bytes" in table.refusal(packed, name="zeros.csv.gz").reason


@pytest.mark.parametrize("line", [b"0\n", b"0,", b'"0', b"[", b'{"a":'])
def test_a_gzip_bomb_ends_within_its_limits(table: Tables, tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(line * (32 * MEBIBYTE // len(line)) + b"\n") * 320)
    assert path.stat().st_size < 32 * MEBIBYTE

    reject = table.refusal(path, "SELECT count(*), max(COLUMNS(*)) FROM content", name="bomb.gz", max_seconds=5)

    assert reject.kind in ("input", "limit")


@pytest.mark.parametrize("where", ["head", "pages", "footer", "length", "end"])
def test_parquet_that_is_corrupt_is_turned_away(table: Tables, tmp_path: Path, where: str) -> None:
    path = tmp_path / "a.parquet"
    duckdb.connect().execute(f"COPY (SELECT range AS a, uuid() AS b FROM range(20000)) TO '{path}' (FORMAT parquet)")
    good = bytearray(path.read_bytes())
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    match where:
        case "head":
            good[0:4] = b"PAR2"
        case "pages":
            good[8 : footer - 8] = os.urandom(footer - 16)
        case "footer":
            good[footer:-8] = os.urandom(len(good) - 8 - footer)
        case "length":
            good[-8:-4] = b"\xff\xff\xff\x7f"
        case "end":
            del good[-200:]
    path.write_bytes(good)

    assert table.refusal(path, "SELECT sum(a), max(b) FROM content", name="a.parquet").kind == "input"
