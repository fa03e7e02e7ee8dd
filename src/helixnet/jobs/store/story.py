"""The SQL of what a job's page tells: the latest lines of its history, and the text that it shows meanwhile."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

# A job may have any number of events, so only the last `window` of them are looked at: they have numbers without gaps.
# Of progress steps that follow each other, the last one says it all.
LINES = text("""
    WITH told AS (
        SELECT seq, at, kind, attempt, data, lead(kind) OVER (ORDER BY seq) AS following
        FROM job_events
        WHERE job_id = :job_id AND kind <> 'OUTPUT'
          AND seq > (SELECT events FROM jobs WHERE id = :job_id) - CAST(:window AS integer)
          AND (CAST(:owner_id AS uuid) IS NULL OR owner_id = :owner_id)
    )
    SELECT seq, at, kind, attempt, data
    FROM told
    WHERE kind <> 'PROGRESS' OR following IS DISTINCT FROM 'PROGRESS'
    ORDER BY seq DESC
    LIMIT :limit
""")

# The end of the text, of at least `characters` where there are so many.
OUTPUT = text("""
    WITH piece AS (
        SELECT seq, data ->> 'text' AS words
        FROM job_events
        WHERE job_id = :job_id AND kind = 'OUTPUT' AND attempt = :attempt
          AND seq > (SELECT events FROM jobs WHERE id = :job_id) - CAST(:window AS integer)
          AND (CAST(:owner_id AS uuid) IS NULL OR owner_id = :owner_id)
    ),
    measured AS (
        SELECT seq, words, sum(length(words)) OVER (ORDER BY seq DESC) - length(words) AS behind
        FROM piece
    )
    SELECT string_agg(words, '' ORDER BY seq)
    FROM measured
    WHERE behind < :characters
""")


async def lines(
    session: AsyncSession, job_id: UUID, owner_id: UUID | None, window: int, limit: int
) -> Sequence[Row[tuple[object, ...]]]:
    """The latest events but for pieces of text and steps that were overtaken, the latest first."""
    values = {"job_id": job_id, "owner_id": owner_id, "window": window, "limit": limit}
    return (await session.execute(LINES, values)).all()


async def output(
    session: AsyncSession, job_id: UUID, owner_id: UUID | None, attempt: int, window: int, characters: int
) -> str:
    """The end of the text that an attempt has shown so far."""
    values = {"job_id": job_id, "owner_id": owner_id, "attempt": attempt, "window": window, "characters": characters}
    return str(await session.scalar(OUTPUT, values) or "")
