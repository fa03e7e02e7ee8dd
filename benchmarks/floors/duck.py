"""Plain DuckDB, as a program: it makes the table that is measured, and it queries it without any lock or limit."""

import sys
import time
from pathlib import Path

BYTES_A_ROW = 105

ROWS = """
    SELECT
      i AS id,
      TIMESTAMP '2024-01-01' + to_seconds(i % 63072000) AS sold_at,
      'customer-' || hash(i) % 2000000 AS customer,
      ['north', 'south', 'east', 'west'][(1 + hash(i * 3) % 4)::INTEGER] AS region,
      'product ' || hash(i * 7) % 5000 AS product,
      (hash(i * 11) % 1000000) / 100.0 AS amount,
      hash(i * 13) % 20 AS quantity,
      md5(i::VARCHAR) AS note
    FROM range({rows}) numbers(i)
"""


def make(path: Path, size: int) -> None:
    """Write a CSV of about `size` bytes."""
    import duckdb

    duckdb.connect().execute(f"COPY ({ROWS.format(rows=size // BYTES_A_ROW)}) TO '{path}' (FORMAT csv, HEADER)")


def query(path: Path, result: Path, sql: str) -> float:
    """Write what `sql` answers as Parquet; answers the seconds that it took, without the start of Python."""
    import duckdb

    start = time.perf_counter()
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW content AS SELECT * FROM read_csv('{path}')")
    connection.execute(f"COPY ({sql}) TO '{result}' (FORMAT parquet)")
    connection.close()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(query(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
