"""The SQL of progress: whether worker processes claim while work waits for them."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# A node is idle when none of its processes runs a job, and none has claimed for `patience`. Work waits for it when one
# of its queues has a job that has been due for so long, and no pause or limit holds it: asked queue by queue and
# priority by priority, each one look into jobs_line_idx for whichever owner is first there.
NODES = text("""
    WITH node AS MATERIALIZED (
        SELECT node,
               count(*) AS processes,
               count(*) FILTER (WHERE heartbeat_at > now() - :lease) AS alive,
               bool_and(COALESCE(claimed_at, started_at) < now() - :patience
                        AND NOT EXISTS (SELECT 1 FROM jobs WHERE worker_id = workers.id AND status = 'IN_PROGRESS'))
                   AS idle
        FROM workers
        WHERE CAST(:node AS text) IS NULL OR node = :node
        GROUP BY node
    ),
    served AS MATERIALIZED (
        SELECT DISTINCT node, unnest(queues) AS queue
        FROM workers
        WHERE CAST(:node AS text) IS NULL OR node = :node
    ),
    startable AS MATERIALIZED (
        SELECT name
        FROM queues
        WHERE NOT paused
          AND owner_running_limit IS NULL
          AND (running_limit IS NULL
               OR (SELECT count(*) FROM jobs WHERE status = 'IN_PROGRESS' AND queue = name) < running_limit)
          AND EXISTS (
              SELECT 1
              FROM generate_series(0, 9) AS level
              CROSS JOIN LATERAL (
                  SELECT available_at
                  FROM jobs
                  WHERE status = 'PENDING' AND due AND queue = name AND priority = level
                  ORDER BY owner_id, available_at
                  LIMIT 1
              ) AS head
              WHERE head.available_at < now() - :patience
          )
    )
    SELECT node, processes, alive, idle,
           ARRAY(SELECT queue FROM served JOIN startable ON name = queue
                 WHERE served.node = node.node ORDER BY queue) AS waiting
    FROM node
    ORDER BY node
    LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Node:
    """The worker processes of one worker. `alive`: with a fresh heartbeat. `idle`: nothing runs, nobody claims.

    `waiting`: the queues of it whose first jobs have waited for too long.
    """

    name: str
    processes: int
    alive: int
    idle: bool
    waiting: list[str]

    @property
    def stalled(self) -> bool:
        """Whether work waits that nothing but the worker itself keeps from being done."""
        return self.alive > 0 and self.idle and bool(self.waiting)


async def nodes(
    session: AsyncSession, lease: timedelta, patience: timedelta, node: str | None = None, limit: int = 1000
) -> list[Node]:
    """How the workers stand, or one of them."""
    values = {"lease": lease, "patience": patience, "node": node, "limit": limit}
    return [Node(*row) for row in await session.execute(NODES, values)]
