"""table.query: what it reads, what it answers, and what it says when it can't."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from pydantic import ValidationError

from helixnet.processors.table.results import QueryParams
from tests.processors.sandbox import Sandbox
from tests.processors.tables import EXAMPLE, Tables

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PEOPLE = "id,name,born\n1,Ada,1815-12-10\n2,Grace,1906-12-09\n3,Edsger,1930-05-11\n"
NAMES = "SELECT name FROM content ORDER BY id"


@pytest.fixture(scope="module")
def table(sandbox: Sandbox) -> Tables:
    return Tables(sandbox)


def test_the_example_finds_the_route_that_delivers_too_little(table: Tables) -> None:
    result = table.ask(EXAMPLE / "content.csv", EXAMPLE / "context.sql")

    assert [column["name"] for column in result["columns"]][:2] == ["route", "weekday"]
    assert result["preview"]["rows"][0] == ["north", "Thursday", 30, 909, 33.5, 1075.15]
    assert (result["row_count"], result["warnings"]) == (5, [])


def test_the_package_is_imported_without_duckdb() -> None:
    code = "import sys, helixnet.processors.table; print('duckdb' in sys.modules, 'backports.zstd' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]


def parquet(folder: Path) -> bytes:
    path = folder / "people.parquet"
    source = folder / "people.csv"
    source.write_text(PEOPLE)
    duckdb.connect().execute(f"COPY (SELECT * FROM read_csv('{source}')) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", PEOPLE.encode(), ("csv", "none")),
        ("a.tsv", PEOPLE.replace(",", "\t").encode(), ("tsv", "none")),
        ("a.bin", PEOPLE.replace(",", ";").encode(), ("csv", "none")),
        ("a.csv.gz", gzip.compress(PEOPLE.encode(), mtime=0), ("csv", "gzip")),
        ("a.csv.zst", zstd.compress(PEOPLE.encode()), ("csv", "zstd")),
        ("unnamed", b'\xef\xbb\xbf [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}, {"id": 3, "name": "Edsger"}]',
         ("json", "none")),
        ("a.json", b'{"id": [1, 2, 3], "name": ["Ada", "Grace", "Edsger"]}', ("json", "none")),
        ("a.json", b'{"n":0,"people":[{"id":1,"name":"Ada"}, {"id": 2, "name": "Grace"},\n{"id":3,"name":"Edsger"}]}',
         ("json", "none")),
        ("a.json", b'{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Grace"}\n{"id": 3, "name": "Edsger"}\n',
         ("ndjson", "none")),
        ("a.jsonl.gz", gzip.compress(b'{"id":1,"name":"Ada"}\n{"id":2,"name":"Grace"}\n{"id":3,"name":"Edsger"}',
                                       mtime=0),
         ("ndjson", "gzip")),
    ],
)  # fmt: skip
def test_each_format_is_told_by_its_content(table: Tables, name: str, content: bytes, said: tuple[str, str]) -> None:
    result = table.ask(content, NAMES, name=name)

    assert (result["source"]["format"], result["source"]["compression"]) == said
    assert result["preview"]["rows"] == [["Ada"], ["Grace"], ["Edsger"]]


def test_parquet_is_read_whatever_it_is_called(table: Tables, tmp_path: Path) -> None:
    result = table.ask(parquet(tmp_path), NAMES, name="stored")

    assert result["source"]["format"] == "parquet"
    assert result["preview"]["rows"] == [["Ada"], ["Grace"], ["Edsger"]]


@pytest.mark.parametrize(
    ("encoding", "found", "warnings"), [("utf-16", "utf-16", 0), ("latin-1", "latin-1", 1), ("utf-8", "utf-8", 0)]
)
def test_the_encoding_of_a_csv_is_found(table: Tables, encoding: str, found: str, warnings: int) -> None:
    result = table.ask("größe;name\n1;Zoë\n".encode(encoding), "SELECT * FROM content")

    assert result["source"]["encoding"] == found
    assert result["columns"][0]["name"] == "größe"
    assert result["preview"]["rows"] == [[1, "Zoë"]]
    assert len(result["warnings"]) == warnings


def test_how_a_csv_is_read_can_be_told(table: Tables) -> None:
    content = "'a|b'|1,5|n/a\n'c'|2,5|7\n"

    result = table.ask(
        content,
        "SELECT * FROM content",
        header=False,
        delimiter="|",
        quote="'",
        decimal_separator=",",
        null_values=["n/a"],
    )

    assert result["preview"]["rows"] == [["a|b", 1.5, None], ["c", 2.5, 7]]
    assert table.rows("n\n007\n", "SELECT n FROM content", all_text=True) == [["007"]]


@pytest.mark.parametrize(("output", "media"), [("csv", "csv"), ("ndjson", "json"), ("parquet", "parquet")])
def test_the_rows_come_out_in_the_format_asked_for(table: Tables, tmp_path: Path, output: str, media: str) -> None:
    sql = "SELECT id, name, sum(id) OVER () AS total FROM content ORDER BY id DESC"

    result = table.ask(PEOPLE, sql, output=output, preview_rows=1)

    assert result["artifact"]["name"] == f"result.{output}"
    path = tmp_path / "rows"
    path.write_bytes(table.written[f"result.{output}"].content)
    assert path.stat().st_size == result["artifact"]["size"]
    rows = duckdb.connect().execute(f"SELECT id, name, total FROM read_{media}('{path}')").fetchall()
    assert [(int(number), name, int(total)) for number, name, total in rows] == [
        (3, "Edsger", 6), (2, "Grace", 6), (1, "Ada", 6),
    ]  # fmt: skip
    assert (result["row_count"], result["preview"]["rows"]) == (3, [[3, "Edsger", 6]])


def test_every_type_has_a_place_in_json(table: Tables) -> None:
    sql = """
        SELECT 1.50::DECIMAL(9, 2), 'nan'::DOUBLE, '-inf'::FLOAT, DATE '2024-02-29', TIMESTAMP '2024-02-29 10:00:00.5',
          TIMESTAMPTZ '2024-02-29 10:00:00+02', 'a\\x00'::BLOB, [1, NULL],
          {'x': 'nan'::DOUBLE, 'y': [DATE '2024-02-29']},
          MAP {'k': 1}, INTERVAL 1 DAY, '{"a": [9007199254740993, 99999999999999999999]}'::JSON,
          170141183460469231731687303715884105::HUGEINT, NULL, true, DATE 'infinity', union_value(x := 1), '101'::BIT
    """

    result = table.ask(PEOPLE, sql)

    assert result["preview"]["rows"][0] == [
        "1.50", "NaN", "-Infinity", "2024-02-29", "2024-02-29 10:00:00.5", "2024-02-29 08:00:00+00",
        "a\\x00", [1, None],
        {"x": "NaN", "y": ["2024-02-29"]}, {"k": 1}, "1 day", {"a": [9007199254740993, "99999999999999999999"]},
        "170141183460469231731687303715884105", None, True, "infinity", {"x": 1}, "101",
    ]  # fmt: skip
    orjson.dumps(result)


def test_long_values_and_doubled_names_are_shown_in_short_and_apart(table: Tables) -> None:
    result = table.ask(PEOPLE, "SELECT repeat('ab', 5000), 1 AS x, 2 AS X FROM content LIMIT 1")

    assert [column["name"] for column in result["columns"]][1:] == ["x", "X_1"]
    assert len(result["preview"]["rows"][0][0]) == 1001
    assert result["preview"]["cut"] == 1


@pytest.mark.parametrize(
    ("sql", "says", "place"),
    [
        ("SELECT nme\nFROM content", 'Line 1, column 8: Referenced column "nme" not found', {"line": 1, "column": 8}),
        ("-- é\nSELEC 1", 'Line 2, column 1: syntax error at or near "SELEC"', {"line": 2, "column": 1}),
        ("SELECT\n  CAST(name || '!' AS INT) FROM content",
         "Line 2, column 3: Could not convert string 'Ada!'", {"line": 2, "column": 3}),
        ("SELECT 1; SELECT 2", "2 statements", {}),
        ("SELECT ?", "parameters", {}),
        ("DELETE FROM content", "no query but DELETE", {}),
        ("PIVOT content ON name USING sum(id)", "ON column IN", {}),
        (b"SELECT \xff", "UTF-8", {}),
        (f"SELECT {'(' * 5000}1{')' * 5000}", "depth", {}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_sql_is_said_with_its_place(
    table: Tables, sql: str, says: str, place: dict[str, int]
) -> None:
    reject = table.refusal(PEOPLE, sql)

    assert says in reject.reason
    assert reject.details == place


@pytest.mark.parametrize(
    "sql", ["SELECT 1 AS n;; -- end\n/* of it */", "(SELECT 1 AS n)", "-- é\nVALUES (1)", "FROM (SELECT 1)"]
)
def test_comments_and_semicolons_around_a_query_are_no_matter(table: Tables, sql: str) -> None:
    assert table.rows(PEOPLE, sql) == [[1]]


def test_a_line_that_can_not_be_read_is_named_or_left_out_and_counted(table: Tables) -> None:
    content = "a,b\n" + "1,2\n" * 30_000 + "x,2\n3,4,5\n"

    reject = table.refusal(content, "SELECT sum(a) FROM content")
    assert reject.reason.startswith("Line 30002 of table.csv can't be read")
    assert reject.details == {"line": 30002}

    result = table.ask(content, "SELECT sum(a), count(*) FROM content", ignore_errors=True)
    assert result["preview"]["rows"] == [[30_000, 30_000]]
    assert result["warnings"] == ["2 line(s) could not be read and were left out; the first is line 30,002."]


def test_a_profile_measures_every_column(table: Tables) -> None:
    rows = [
        f"{n},{n / 4},{'odd' if n % 2 else 'even'},2024-01-{n % 28 + 1:02} 00:00:00,{n % 3 == 0}"
        for n in range(1, 1001)
    ]
    content = "n,quarter,kind,at,third\n" + "\n".join(rows) + "\n,,,,\n"

    result = table.ask(content, "-- no SQL, only a remark", preview_rows=2)

    assert (result["kind"], result["row_count"], len(result["preview"]["rows"])) == ("profile", 1001, 2)
    columns: dict[str, dict[str, Any]] = {column["name"]: column for column in result["columns"]}
    assert all(column["nulls"] == 1 for column in columns.values())
    n = columns["n"]
    assert (n["type"], n["min"], n["max"], n["mean"]) == ("BIGINT", 1, 1000, 500.5)
    assert n["distinct"] == pytest.approx(1000, rel=0.1)
    assert n["quantiles"]["0.5"] == pytest.approx(500, rel=0.05)
    assert n["stddev"] == pytest.approx(288.8, rel=0.01)
    assert [bin_["count"] for bin_ in n["histogram"]] == [50] * 20
    assert (n["histogram"][0]["lower"], n["histogram"][-1]["upper"]) == (1, 1000)
    assert columns["kind"]["frequent"] == [{"value": "even", "count": 500}, {"value": "odd", "count": 500}]
    assert (columns["kind"]["shortest"], columns["kind"]["longest"]) == (3, 4)
    at = columns["at"]
    assert (at["min"], at["max"]) == ("2024-01-01 00:00:00", "2024-01-28 00:00:00")
    assert sum(bin_["count"] for bin_ in at["histogram"]) == 1000
    assert columns["third"]["frequent"] == [{"value": "false", "count": 667}, {"value": "true", "count": 333}]


def test_a_profile_bears_values_that_no_average_bears(table: Tables, tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    duckdb.connect().execute(f"""
        COPY (
          SELECT unnest(['nan', 'inf', '1e308', '-1e308', '2']::DOUBLE[]) AS huge, unnest([1, 1, 1, 1, 1]) AS same,
            NULL::INTEGER AS none, {{'a': [1]}} AS nested, 'x'::BLOB AS bytes,
            unnest([DATE 'infinity', DATE '2024-01-01']) AS day
        ) TO '{path}' (FORMAT parquet)
    """)

    columns = {column["name"]: column for column in table.ask(path)["columns"]}

    assert (columns["huge"]["not_finite"], columns["huge"]["max"], columns["huge"]["histogram"]) == (2, 1e308, [])
    assert [bin_["count"] for bin_ in columns["same"]["histogram"]] == [5]
    assert (columns["none"]["nulls"], columns["none"]["min"]) == (5, None)
    assert (columns["day"]["max"], columns["day"]["not_finite"]) == ("2024-01-01", 1)
    assert columns["nested"]["distinct"] == 1


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "a.csv", "empty"),
        (b" \n\n", "a.csv", "white space"),
        (b"PK\x03\x04rest", "a.xlsx", "Excel"),
        (b"a,b\n1,\x00\n", "a.csv", "zero bytes"),
        (b"\x1f\x8bno gzip", "a.csv.gz", "damaged"),
        (
            gzip.compress(b"a,b\n" + b"".join(b"%d,2\n" % (n * n) for n in range(200_000)), mtime=0)[:-2000],
            "a.csv.gz",
            "can't be read",
        ),
        (b"PAR1" + bytes(range(256)) * 4 + b"PAR1", "a.parquet", "can't be read"),
        (b"a,b\n1,2\n", "a.parquet", "doesn't begin as a Parquet file"),
        (b"a,b\n1,2\n", "a.json", "begins with neither"),
        (b'[{"a": 1}, {"a": ', "a.json", "is not JSON"),
        (b'{"a": 1}\nnope\n', "a.ndjson", "is not JSON"),
        ('[{"a": "ü"}]'.encode("latin-1"), "a.json", "UTF-8"),
        (b"[" * 100_000, "a.json", "a.json"),
    ],
)
def test_a_file_that_is_no_table_is_turned_away_with_a_reason(
    table: Tables, content: bytes, name: str, says: str
) -> None:
    reject = table.refusal(content, "SELECT * FROM content", name=name)

    assert says in reject.reason
    assert "helix-" not in reject.reason, "no path of the worker's"
    assert reject.kind == "input"


def test_a_file_of_a_header_alone_has_no_rows(table: Tables) -> None:
    assert table.ask("a,b\n", "SELECT * FROM content")["row_count"] == 0
    assert table.ask("a,b\n")["row_count"] == 0


@pytest.mark.parametrize(
    "wrong", [{"output": "xlsx"}, {"delimiter": ""}, {"max_seconds": 0}, {"preview_rows": 1001}, {"sql": "x"}]
)
def test_parameters_have_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QueryParams.model_validate(wrong)
