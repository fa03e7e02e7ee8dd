"""The SQL of stack traces. They are in a table of their own, which nothing but `look` reads: what shows jobs, events
or failures can't show one by mistake."""

from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Executor
from helixnet.jobs.store.transitions import Settled

KEEP = text("""
    INSERT INTO job_tracebacks (job_id, attempt, fingerprint, traceback)
    SELECT *
    FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[]), CAST(:fingerprints AS text[]),
                CAST(:tracebacks AS text[]))
    ON CONFLICT (job_id) DO UPDATE
    SET attempt = excluded.attempt, fingerprint = excluded.fingerprint, traceback = excluded.traceback
""")

LOOK = text("SELECT traceback FROM job_tracebacks WHERE job_id = :job_id AND fingerprint = :fingerprint")


async def keep(session: AsyncSession, outcomes: Sequence[Settled]) -> None:
    """Keep the stack traces of attempts that were settled in this transaction, each in the place of its job's last."""
    if not outcomes:
        return
    ordered = sorted(outcomes, key=attrgetter("id"))
    await session.execute(
        KEEP,
        {
            "ids": [outcome.id for outcome in ordered],
            "attempts": [outcome.attempt for outcome in ordered],
            "fingerprints": [outcome.fingerprint or "" for outcome in ordered],
            "tracebacks": [outcome.traceback for outcome in ordered],
        },
    )


async def look(session: Executor, job_id: UUID, fingerprint: str | None) -> str | None:
    """The stack trace of a job's failure, unless it is that of an earlier one of another kind. For admins only."""
    found = (await session.execute(LOOK, {"job_id": job_id, "fingerprint": fingerprint or ""})).first()
    return str(found[0]) if found is not None else None
