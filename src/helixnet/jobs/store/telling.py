"""How a change of a job is written: together with the event that tells it, in one statement."""

from sqlalchemy import TextClause, text


def telling(change: str, kind: str, data: str, answer: str) -> TextClause:
    """A statement that makes `change` (an UPDATE of jobs ending in RETURNING), writes its event, and selects."""
    return text(
        f"""
        WITH {change},
        told AS (
            INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
            SELECT id, events, owner_id, {kind}, attempt, {data}
            FROM changed
        )
        SELECT {answer} FROM changed
        """  # noqa: S608 - put together from constants of this file alone
    )
