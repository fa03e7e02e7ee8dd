"""How a change of a job is written: together with the event that tells it, in one statement."""

from sqlalchemy import TextClause, text


def telling(change: str, kind: str, data: str, answer: str) -> TextClause:
    """A statement that makes `change`, writes its event, and selects.

    `change` is a list of WITH clauses, the last of which is `changed`: an UPDATE of jobs with what the event says
    (`id`, `owner_id`, `events`, `attempt`) in its RETURNING.
    """
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
