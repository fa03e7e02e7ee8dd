"""How long ended jobs are kept: then they are deleted, with their history and the files that nobody else uses."""

from datetime import timedelta
from uuid import UUID

import uuid_utils.compat as uuids
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.artifacts import service as artifacts
from helixnet.jobs.store import reading, retention

FIRST = UUID(int=0)
LOOKED_AT = 500


async def expire(session: AsyncSession, age: timedelta, after: UUID) -> tuple[int, UUID | None]:
    """Delete the jobs that ended `age` ago among the next few past the id `after`.

    Answers how many, and the id to go on from; None once all that are old enough have been looked at.
    """
    old, last = await retention.stretch(session, age, after, _made_before(age), LOOKED_AT)
    if not old:
        return 0, last
    count, used = await retention.delete_old(session, old, age)
    if used:
        await artifacts.remove(session, await reading.unlinked(session, used))
    return count, last


def _made_before(age: timedelta) -> UUID:
    """The id that a job would have that was submitted `age` ago: what ended then was submitted earlier (RFC 9562)."""
    now = uuids.uuid7().int >> 80
    return UUID(int=max(0, now - int(age.total_seconds() * 1000)) << 80)
