"""Arrays in PostgreSQL's binary format, read back by PostgreSQL itself."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helixnet import arrays
from helixnet.arrays import NULL, Array, Element

WRITERS: dict[Element, tuple[str, Callable[[Any], bytes], list[Any]]] = {
    Element.BOOLEAN: ("boolean", arrays.boolean, [True, False]),
    Element.SMALLINT: ("smallint", arrays.smallint, [-1, 0, 32767]),
    Element.INTEGER: ("integer", arrays.integer, [-(2**31), 0, 2**31 - 1]),
    Element.TEXT: ("text", arrays.text, ["", "NULL", '{"a",\\}', "é 漢 🎬", None]),
    Element.DOUBLE: ("double precision", arrays.double, [0.1, -1e300, 0.0]),
    Element.TIMESTAMPTZ: (
        "timestamptz",
        arrays.timestamp,
        [
            datetime(2026, 11, 25, 22, 11, 21, 123456, tzinfo=UTC),
            datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-8))),
        ],
    ),
    Element.UUID: ("uuid", arrays.uuid, [UUID(int=0), UUID(int=2**128 - 1)]),
}


def read_back(connection: psycopg.Connection[tuple[Any, ...]], kind: str, array: Array) -> object:
    row = connection.execute(f"SELECT CAST(%(values)s AS {kind}[])", {"values": array}).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("element", WRITERS)
def test_what_is_written_is_what_postgresql_reads(database_url: str, element: Element) -> None:
    kind, write, values = WRITERS[element]
    with psycopg.connect(database_url) as connection:
        assert read_back(connection, kind, Array.of(element, map(write, values))) == values
        assert read_back(connection, kind, Array.of(element, [NULL, write(values[0])])) == [None, values[0]]
        assert read_back(connection, kind, Array.of(element, [])) == []


def test_json_arrives_as_it_was_written(database_url: str) -> None:
    array = Array.of(Element.JSON, [arrays.json(b'{"a": "\\u0000"}'), arrays.json(None)])
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT array_agg(CAST(one AS text)) FROM unnest(CAST(%s AS json[])) AS one", [array]
        ).fetchone()

    assert row == (['{"a": "\\u0000"}', None],)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_any_text_arrives(connection: psycopg.Connection[tuple[Any, ...]], values: list[str | None]) -> None:
    assert read_back(connection, "text", Array.of(Element.TEXT, map(arrays.text, values))) == values


@pytest.fixture
def connection(database_url: str) -> Any:
    with psycopg.connect(database_url) as connection:
        yield connection


def test_a_text_with_a_nul_is_refused_and_the_connection_lives(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(psycopg.DataError):
            read_back(connection, "text", Array.of(Element.TEXT, [arrays.text("a\0b")]))
        assert read_back(connection, "text", Array.of(Element.TEXT, [arrays.text("ab")])) == ["ab"]
