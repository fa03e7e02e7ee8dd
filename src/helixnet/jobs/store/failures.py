"""The SQL of failures by kind: one step in jobs_failed_idx for each kind, and so many jobs counted of each at most."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

MOST_KINDS, MOST_COUNTED = 200, 1000


def _kinds(whose: str, following: str) -> TextClause:
    """The statement; `whose` jobs, and which kind is the `following` one. The index parts kinds by owner."""
    return text(f"""
        WITH RECURSIVE kind AS (
            (SELECT owner_id, fingerprint, 1 AS number
             FROM jobs
             WHERE status = 'FAILED' AND fingerprint IS NOT NULL AND {whose}
             ORDER BY owner_id, fingerprint
             LIMIT 1)
            UNION ALL
            SELECT following.owner_id, following.fingerprint, number + 1
            FROM kind
            CROSS JOIN LATERAL (
                SELECT owner_id, fingerprint
                FROM jobs
                WHERE status = 'FAILED' AND fingerprint IS NOT NULL AND {following}
                ORDER BY owner_id, fingerprint
                LIMIT 1
            ) AS following
            WHERE number <= :kinds
        ),
        counted AS (
            SELECT kind.fingerprint, number, capped.jobs, oldest.id AS first_id, newest.id AS last_id
            FROM kind
            CROSS JOIN LATERAL (
                SELECT count(*) AS jobs
                FROM (
                    SELECT 1
                    FROM jobs
                    WHERE status = 'FAILED' AND owner_id = kind.owner_id AND fingerprint = kind.fingerprint
                    LIMIT :cap + 1
                ) AS job
            ) AS capped
            CROSS JOIN LATERAL (
                SELECT id
                FROM jobs
                WHERE status = 'FAILED' AND owner_id = kind.owner_id AND fingerprint = kind.fingerprint
                ORDER BY id
                LIMIT 1
            ) AS oldest
            CROSS JOIN LATERAL (
                SELECT id
                FROM jobs
                WHERE status = 'FAILED' AND owner_id = kind.owner_id AND fingerprint = kind.fingerprint
                ORDER BY id DESC
                LIMIT 1
            ) AS newest
        ),
        together AS (
            SELECT fingerprint, sum(jobs) AS jobs, max(number) AS number,
                   (array_agg(first_id ORDER BY first_id))[1] AS first_id,
                   (array_agg(last_id ORDER BY last_id DESC))[1] AS last_id
            FROM counted
            GROUP BY fingerprint
        )
        SELECT together.fingerprint, newest.processor, newest.error, CAST(together.jobs AS integer),
               oldest.id, oldest.finished_at, newest.id, newest.finished_at, number
        FROM together
        JOIN jobs AS oldest ON oldest.id = first_id
        JOIN jobs AS newest ON newest.id = last_id
        ORDER BY newest.id DESC
    """)  # noqa: S608 - put together from constants of this file alone


# With both the owner and the pair compared, each step would begin at the owner's first kind again.
OWN = _kinds("owner_id = :owner_id", "owner_id = :owner_id AND fingerprint > kind.fingerprint")
EVERYBODYS = _kinds("true", "(owner_id, fingerprint) > (kind.owner_id, kind.fingerprint)")


class Kind(NamedTuple):
    """Failures of one kind; `jobs` counts up to one above the cap, `number` the kinds as they were found."""

    fingerprint: str
    processor: str
    error: Any
    jobs: int
    first_job_id: UUID
    first_at: datetime | None
    last_job_id: UUID
    last_at: datetime | None
    number: int


async def kinds(session: AsyncSession, owner_id: UUID | None) -> tuple[list[Kind], bool]:
    """FAILED jobs by kind, those with the newest job first, and whether there are more kinds than were looked at.

    With None for owner, everybody's.
    """
    values: dict[str, object] = {"kinds": MOST_KINDS, "cap": MOST_COUNTED}
    statement = EVERYBODYS
    if owner_id is not None:
        statement, values["owner_id"] = OWN, owner_id
    found = [Kind(*row) for row in await session.execute(statement, values)]
    more = any(kind.number > MOST_KINDS for kind in found)
    return found[:MOST_KINDS], more
