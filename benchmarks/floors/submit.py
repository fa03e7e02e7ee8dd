"""The submitter of floors (a) and (b): one process, one connection to the broker, one to the database."""

import psycopg

from benchmarks.dialogue import serve
from benchmarks.floors.celery_app import DATABASE_URL, app, noop, recorded

# So many rows are written and committed together before their messages leave.
ROWS = 1000


def submit_bare(count: int) -> None:
    """Send `count` messages."""
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            noop.apply_async(producer=producer, retry=False)


def submit_recorded(connection: psycopg.Connection[tuple[int]], count: int) -> None:
    """Write the rows as PENDING, a thousand in a transaction, and send a message for each."""
    with app.producer_pool.acquire(block=True) as producer:
        for start in range(0, count, ROWS):
            size = min(ROWS, count - start)
            with connection.transaction():
                ids = connection.execute(
                    "SELECT nextval(pg_get_serial_sequence('jobs', 'id')) FROM generate_series(1, %s)", (size,)
                ).fetchall()
                with connection.cursor().copy("COPY jobs (id, status, params) FROM STDIN") as copy:
                    for (job_id,) in ids:
                        copy.write_row((job_id, "PENDING", "{}"))
            for (job_id,) in ids:
                recorded.apply_async((job_id,), producer=producer, retry=False)


def main() -> None:
    if not DATABASE_URL:
        serve(submit_bare)
        return
    with psycopg.connect(DATABASE_URL, autocommit=True) as connection:
        serve(lambda count: submit_recorded(connection, count))


if __name__ == "__main__":
    main()
