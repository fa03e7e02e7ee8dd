"""The SQL of answers that are kept for their owner, and for nobody else."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.db import Executor, dump_json
from helixnet.usage.models import Answer

LARGEST_ANSWER = 256 * 1024
# An owner's memory is full with this; what is new has to wait for something old to expire.
MOST_ANSWERS = 10_000

RECALL = text("SELECT answer FROM answers WHERE owner_id = :owner_id AND key = :key AND expires_at > now()")

KEEP = text("""
    INSERT INTO answers (owner_id, key, answer, expires_at)
    SELECT :owner_id, :key, CAST(:answer AS json), now() + :lifetime
    WHERE (SELECT count(*) FROM answers WHERE owner_id = :owner_id) < :most
    ON CONFLICT (owner_id, key) DO UPDATE
    SET answer = EXCLUDED.answer,
        expires_at = EXCLUDED.expires_at
""")


async def recall(session: Executor, owner_id: UUID, key: str) -> Any | None:
    """The answer that the owner has under this key, if it has not expired."""
    row = (await session.execute(RECALL, {"owner_id": owner_id, "key": key})).first()
    return row[0] if row is not None else None


async def keep(session: Executor, owner_id: UUID, key: str, answer: Any, lifetime: timedelta) -> None:
    """Keep an answer (JSON) for the owner, unless it is too large or the owner's memory is full."""
    written = dump_json(answer)
    if len(written) <= LARGEST_ANSWER:
        values = {"owner_id": owner_id, "key": key, "answer": written, "lifetime": lifetime, "most": MOST_ANSWERS}
        await session.execute(KEEP, values)


async def delete_expired(session: AsyncSession, limit: int) -> int:
    """Forget answers that have expired; answers how many."""
    old = select(Answer.owner_id, Answer.key).where(Answer.expires_at < func.now()).order_by(Answer.expires_at)
    done = await session.execute(
        delete(Answer).where(tuple_(Answer.owner_id, Answer.key).in_(old.limit(limit))).returning(Answer.key)
    )
    return len(done.all())
