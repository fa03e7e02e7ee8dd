"""Tables full of jobs, filled by SQL: what would take hours to submit."""

import psycopg

# Ended jobs of one owner, a second apart, the newest one now. One in a hundred FAILED, as many CANCELLED.
ENDED = """
    INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, attempt, max_attempts,
                      time_limit, available_at, created_at, started_at, finished_at, progress, result, error, events)
    SELECT uuidv7((number - %(count)s) * INTERVAL '1 second'), %(owner)s, 'core.echo', '{"message": ""}', '{}',
           'default', 4,
           CASE number %% 100 WHEN 7 THEN 'FAILED' WHEN 8 THEN 'CANCELLED' ELSE 'COMPLETED' END,
           1, 3, INTERVAL '10 minutes', at, at, at, at, 1,
           CASE WHEN number %% 100 NOT IN (7, 8) THEN '{"message": ""}'::json END,
           CASE WHEN number %% 100 = 7 THEN '{"kind": "bug", "message": "RuntimeError: as it was asked to"}'::json END,
           3
    FROM generate_series(1, %(count)s) AS number
    CROSS JOIN LATERAL (SELECT now() + (number - %(count)s) * INTERVAL '1 second') AS moment (at)
"""

# Waiting jobs of several owners and priorities, mixed. The owners' ids count from 1: whose they are does not matter.
WAITING = """
    INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, max_attempts, time_limit)
    SELECT uuidv7(), ('00000000-0000-0000-0000-' || lpad((1 + number %% %(owners)s)::text, 12, '0'))::uuid,
           'core.echo', '{"message": ""}', '{}', %(queue)s, 3 + number %% 3, 'PENDING', 3, INTERVAL '10 minutes'
    FROM generate_series(1, %(count)s) AS number
"""


def fill_ended(database_url: str, owner_id: str, count: int) -> None:
    """So many ended jobs of one owner; vacuumed and analyzed."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(ENDED, {"count": count, "owner": owner_id})
        connection.execute("VACUUM (ANALYZE) jobs")


def fill_waiting(connection: psycopg.Connection[object], queue: str, owners: int, count: int) -> None:
    """So many more waiting jobs, of `owners` owners and three priorities."""
    connection.execute(WAITING, {"count": count, "queue": queue, "owners": owners})
