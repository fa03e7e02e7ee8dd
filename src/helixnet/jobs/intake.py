"""How single jobs enter the ledger: those that come at the same time go together, in one statement.

A submission that comes alone goes at once. While statements are on their way, the submissions that arrive meanwhile
gather, and the next statement takes them all: the busier a process is, the less each job costs. (Databases do the same
with their log, by the name of group commit.) A submission is answered only once the statement that holds it is
committed.
"""

import asyncio

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from helixnet.db import Database
from helixnet.jobs.store import commands
from helixnet.jobs.store.commands import NewJob

# One statement is on its way while the next one's jobs gather; more of them would only make each one smaller.
STATEMENTS = 2
MOST_JOBS = 100
# A large job goes with few others: writing the document holds up the event loop.
MOST_CHARACTERS = 256 * 1024


class Intake:
    """Enters jobs for the requests of one process. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[NewJob, asyncio.Future[None]]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def enter(self, job: NewJob) -> None:
        """Returns once the job is in the ledger.

        Raises SQLAlchemy's errors: after OperationalError and InterfaceError it may be in the ledger all the same.
        """
        entered = asyncio.get_running_loop().create_future()
        self._waiting.append((job, entered))
        if len(self._under_way) < STATEMENTS:
            task = asyncio.create_task(self._work())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        await entered

    async def _work(self) -> None:
        while group := self._next_group():
            await self._enter(group)

    def _next_group(self) -> list[tuple[NewJob, "asyncio.Future[None]"]]:
        count = characters = 0
        for job, _entered in self._waiting[:MOST_JOBS]:
            characters += len(job.params)
            if count and characters > MOST_CHARACTERS:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _enter(self, group: list[tuple[NewJob, "asyncio.Future[None]"]]) -> None:
        error: Exception | None = None
        try:
            async with self._database.connection() as connection:
                await commands.submit(connection, [job for job, _entered in group])
        except Exception as raised:  # noqa: BLE001 - it is raised where the jobs are waited for
            error = raised
        if error is not None and len(group) > 1 and _is_of_one(error):
            for one in group:
                await self._enter([one])
            return
        for _job, entered in group:
            if entered.done():  # whoever waited was cancelled
                continue
            if error is None:
                entered.set_result(None)
            else:
                entered.set_exception(error)


def _is_of_one(error: Exception) -> bool:
    """Whether PostgreSQL refused what a job holds, and so entered none of the group."""
    return isinstance(error, DBAPIError) and not isinstance(error, OperationalError | InterfaceError)
