"""What may be asked: one SELECT over the table `content`, which reads nothing else and changes nothing.

DuckDB's own locks forbid files, the network and settings whatever is asked. This looks at the statement's tree before
it runs, so that a refusal names the place, and shuts what the locks leave open: since DuckDB 2.0 a WITH may hold a
COPY, which could fill the folder that DuckDB spills to beyond the bound for spilling.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helixnet.processors.base import Reject

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LARGEST_SQL = 256 * 1024
QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
TABLE_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "summary", "unnest"}
)
"""The table functions that read no file, no setting, and no text as SQL."""
OTHER_STATEMENTS = {
    "MULTI": "PIVOT needs the values that it makes columns of: PIVOT … ON column IN ('a', 'b').",
    "EXPLAIN": "EXPLAIN isn't run; take it away to have the query itself run.",
}


@dataclass(frozen=True, slots=True)
class Sql:
    """One SELECT statement, without what ends it. `prefix` is what is put before it, in bytes."""

    text: str

    def place(self, offset: int) -> dict[str, int]:
        """Line and column, counted from 1, of a byte of the statement; empty for one that is outside."""
        encoded = self.text.encode()
        if not 0 <= offset <= len(encoded):
            return {}
        before = encoded[:offset].decode(errors="ignore")
        return {"line": before.count("\n") + 1, "column": len(before) - before.rfind("\n")}


def decode(raw: bytes) -> str:
    """The text of a file with SQL; raises Reject if it is none."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Reject("The SQL isn't encoded in UTF-8.") from error
    if "\x00" in text:
        raise Reject("The SQL holds zero bytes: it is no text.")
    return text


def parse(connection: "DuckDBPyConnection", text: str) -> Sql | None:
    """The statement of this text; None if it has none but comments.

    Raises Reject for anything but one SELECT that reads `content` alone, and DuckDB's own error where the text is no
    SQL.
    """
    statements = connection.extract_statements(text)
    if not statements:
        return None
    if len(statements) > 1:
        raise Reject(f"The SQL has {len(statements)} statements. Keep one: the SELECT whose rows you want.")
    kind = statements[0].type.name
    if kind != "SELECT":
        raise Reject(OTHER_STATEMENTS.get(kind, f"The SQL is no query but {kind}. Only SELECT is run."))
    if statements[0].named_parameters:
        raise Reject("The SQL has parameters (? or $1), and there is nothing to put in their place.")
    sql = Sql(_without_end(text))
    _check(connection, sql)
    return sql


def _without_end(text: str) -> str:
    """The text without the semicolons and comments that follow the statement, so that more can be put after it."""
    import duckdb

    encoded = text.encode()
    end = len(encoded)
    for offset, kind in reversed(duckdb.tokenize(text)):
        if kind.name != "comment" and encoded[offset : offset + 1] != b";":
            break
        end = offset
    return encoded[:end].decode()


def _check(connection: "DuckDBPyConnection", sql: Sql) -> None:
    """Raise Reject if the statement's tree has a part that reads or writes more than `content`."""
    found = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [sql.text]).fetchone()
    try:
        tree = json.loads(found[0] if found else "")
    except RecursionError as error:
        raise Reject("The SQL is nested too deeply.") from error
    if tree.get("error") is not False:
        raise Reject("The SQL could not be taken apart, so it isn't run. Write it in a simpler way.")
    for node in _objects(tree):
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in QUERY_NODES:
            word = kind.partition("_")[0]
            raise Reject(f"A query may not change or write anything: {word} is not allowed.")
        if kind == "TABLE_FUNCTION":
            name = str(node.get("function", {}).get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                _refuse(sql, node, f"The query reads {name}(…). It may read the table `content`, and nothing else.")
        is_setting = kind == "FUNCTION" and str(node.get("function_name", "")).lower() == "current_setting"
        if is_setting or (kind == "BASE_TABLE" and str(node.get("table_name", "")).lower() == "pg_settings"):
            _refuse(sql, node, "The query reads a setting. It may read the table `content`, and nothing else.")


def _refuse(sql: Sql, node: dict[str, Any], reason: str) -> None:
    raise Reject(reason, **sql.place(int(node.get("query_location", -1))))


def _objects(tree: object) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
