"""The SQL that finds jobs by a filter, to command them all, and that runs jobs anew.

One look for jobs goes through so many of them at most; where it ends, the next one goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet import tracing
from helixnet.jobs.models import Job
from helixnet.jobs.states import Status
from helixnet.jobs.store.reading import INDEXED_STATES

# Jobs that one command concerns at most, and jobs that are looked through for them where no index knows the filter.
LARGEST = 10_000
WINDOW = 50_000

# An id holds the time of the submitting process, `created_at` the database's: they may differ by so much.
CLOCKS_DIFFER = timedelta(hours=1)
FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)

COLUMNS = "id, owner_id, processor, queue, status, fingerprint, batch_id, created_at"


def _part(which: str) -> str:
    return f"""(
            SELECT {COLUMNS}
            FROM jobs
            WHERE {which} AND id < :below AND id >= :least
            ORDER BY id DESC
            LIMIT :window
        )"""  # noqa: S608 - put together from constants of this file alone


def _matching(*parts: str) -> TextClause:
    """Jobs of these `parts` that match, newest first, beside where the look ended."""
    return text(f"""
        WITH looked AS MATERIALIZED (
            SELECT *
            FROM ({" UNION ALL ".join(parts)}) AS part
            ORDER BY id DESC
            LIMIT :window
        ),
        edge AS (
            SELECT count(*) AS looked, (SELECT id FROM looked ORDER BY id LIMIT 1) AS last
            FROM looked
        ),
        found AS (
            SELECT id, owner_id, processor
            FROM looked
            WHERE status = ANY(:states)
              AND (CAST(:processor AS text) IS NULL OR processor = :processor)
              AND (CAST(:queue AS text) IS NULL OR queue = :queue)
              AND (CAST(:fingerprint AS text) IS NULL OR fingerprint = :fingerprint)
              AND (CAST(:batch_id AS uuid) IS NULL OR batch_id = :batch_id)
              AND (CAST(:created_after AS timestamptz) IS NULL OR created_at >= :created_after)
              AND (CAST(:created_before AS timestamptz) IS NULL OR created_at < :created_before)
            ORDER BY id DESC
            LIMIT :largest + 1
        )
        SELECT found.id, found.owner_id, found.processor, edge.looked, edge.last
        FROM edge
        LEFT JOIN found ON true
        ORDER BY found.id DESC
    """)  # noqa: S608 - put together from constants of this file alone


# Each is one walk down an index: jobs_owner_idx, the primary key, jobs_failed_idx, and jobs_ended_idx for each state.
OWN = _matching(_part("owner_id = :owner_id"))
EVERYBODYS = _matching(_part("true"))
OWN_OF_A_KIND = _matching(_part("status = 'FAILED' AND owner_id = :owner_id AND fingerprint = :fingerprint"))
OWN_ENDED = {
    states: _matching(*(_part(f"status = '{state}' AND owner_id = :owner_id") for state in sorted(states)))
    for states in (frozenset({Status.FAILED}), frozenset({Status.CANCELLED}), INDEXED_STATES)
}
# A batch is small enough to be looked through whole, and has no order in its index.
OF_A_BATCH = _matching(f"""(
    WITH batch AS MATERIALIZED (SELECT {COLUMNS} FROM jobs WHERE batch_id = :batch_id)
    SELECT *
    FROM batch
    WHERE (CAST(:owner_id AS uuid) IS NULL OR owner_id = :owner_id) AND id < :below AND id >= :least
)""")  # noqa: S608 - put together from constants of this file alone

# The files stay what they are, inputs of one job more; the lock keeps the old job, and so its files, from deletion.
REPLAY = text("""
    WITH given AS MATERIALIZED (
        SELECT *
        FROM unnest(CAST(:ids AS uuid[]), CAST(:new_ids AS uuid[]), CAST(:attempts AS integer[]))
             AS given (id, new_id, attempts)
    ),
    source AS MATERIALIZED (
        SELECT jobs.id, new_id, owner_id, processor, params, payload, queue, priority, attempts, time_limit
        FROM given
        JOIN jobs ON jobs.id = given.id
        ORDER BY jobs.id
        FOR KEY SHARE OF jobs
    ),
    entered AS (
        INSERT INTO jobs (id, owner_id, processor, params, payload, queue, priority, status, max_attempts, time_limit,
                          available_at, due, events, trace)
        SELECT new_id, owner_id, processor, params, payload, queue, priority, 'PENDING', attempts, time_limit,
               now(), true, 1, CAST(:trace AS bytea)
        FROM source
    ),
    told AS (
        INSERT INTO job_events (job_id, seq, owner_id, kind, attempt, data)
        SELECT new_id, 1, owner_id, 'PENDING', 0,
               json_build_object('reason', 'replayed by the user', 'replayed_from', CAST(id AS text))
        FROM source
    ),
    linked AS (
        INSERT INTO job_artifacts (job_id, direction, role, attempt, artifact_id)
        SELECT new_id, 'input', role, 0, artifact_id
        FROM source
        JOIN job_artifacts ON job_id = source.id AND direction = 'input'
    )
    SELECT new_id, owner_id, queue
    FROM source
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which jobs are meant; what is None doesn't matter. `before`: only jobs with a lower id."""

    states: tuple[Status, ...]
    processor: str | None = None
    queue: str | None = None
    fingerprint: str | None = None
    batch_id: UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    before: UUID | None = None


class Found(NamedTuple):
    id: UUID
    owner_id: UUID
    processor: str


class Replayed(NamedTuple):
    """A new job that repeats an older one."""

    id: UUID
    owner_id: UUID
    queue: str


async def matching(
    session: AsyncSession, owner_id: UUID | None, wanted: Filter, limit: int | None = None
) -> tuple[list[Found], UUID | None]:
    """Jobs that match, newest first, `limit` at most (LARGEST without), and the id to go on before, if not all were
    seen. With None for owner, everybody's."""
    largest = limit or LARGEST
    values = {
        "owner_id": owner_id,
        "states": list(wanted.states),
        "processor": wanted.processor,
        "queue": wanted.queue,
        "fingerprint": wanted.fingerprint,
        "batch_id": wanted.batch_id,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
        "least": _id_at(wanted.created_after, -CLOCKS_DIFFER, FIRST_ID),
        "below": min(wanted.before or LAST_ID, _id_at(wanted.created_before, CLOCKS_DIFFER, LAST_ID)),
        "largest": largest,
        "window": WINDOW,
    }
    rows = (await session.execute(_statement(owner_id, wanted), values)).all()
    found = [Found(row.id, row.owner_id, row.processor) for row in rows if row.id is not None]
    if len(found) > largest:
        return found[:largest], found[largest - 1].id
    return found, rows[0].last if rows[0].looked >= WINDOW else None


def _statement(owner_id: UUID | None, wanted: Filter) -> TextClause:
    if wanted.batch_id is not None:
        return OF_A_BATCH
    if owner_id is None:
        return EVERYBODYS
    if wanted.fingerprint is not None and wanted.states == (Status.FAILED,):
        return OWN_OF_A_KIND
    return OWN_ENDED.get(frozenset(wanted.states), OWN)


def _id_at(moment: datetime | None, shift: timedelta, default: UUID) -> UUID:
    """The lowest id of a moment: a UUIDv7 begins with its milliseconds since 1970 (RFC 9562)."""
    if moment is None:
        return default
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC) + shift
    milliseconds = min(max(since // timedelta(milliseconds=1), 0), 2**48 - 1)
    return UUID(int=milliseconds << 80)


async def replay(session: AsyncSession, anew: Mapping[UUID, UUID], attempts: Mapping[UUID, int]) -> list[Replayed]:
    """Enter jobs once more: `anew` says under which id, `attempts` how often each may be tried.

    One that is no longer there is left out.
    """
    values = {"ids": list(anew), "new_ids": list(anew.values()), "attempts": [attempts[job_id] for job_id in anew]}
    values |= {"trace": tracing.current()}
    return [Replayed(*row) for row in await session.execute(REPLAY, values)]


async def full(session: AsyncSession, job_ids: Sequence[UUID]) -> Sequence[Job]:
    """These jobs, newest first."""
    return (await session.scalars(select(Job).where(Job.id.in_(job_ids)).order_by(Job.id.desc()))).all()
