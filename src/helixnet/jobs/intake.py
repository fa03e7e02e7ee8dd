"""How single jobs enter the ledger: those that come at the same time go together, in one statement.

A submission that comes alone goes at once. While a statement is on its way, the submissions that arrive meanwhile
gather, and the next statement takes them all: the busier a process is, the less each job costs. (Databases do the same
with their log, by the name of group commit.) A submission is answered only once the statement that holds it is
committed.

A statement that hangs, by a lock or a dead connection, holds up those that it took and nobody else: what gathers
behind it goes by another one.
"""

import asyncio

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from helixnet.db import Database
from helixnet.jobs.store import commands
from helixnet.jobs.store.commands import NewJob

# One statement is on its way while the next one's jobs gather, as long as it comes back soon; more of them at a time
# would make each one smaller, and there are as many as this only while others hang.
STATEMENTS = 4
SOON_SECONDS = 0.05
MOST_JOBS = 100
# A large job goes with few others: writing the document holds up the event loop.
MOST_CHARACTERS = 256 * 1024


class Intake:
    """Enters jobs for the requests of one process. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[NewJob, asyncio.Future[None]]] = []
        self._under_way: set[asyncio.Task[None] | None] = set()
        self._hanging: set[asyncio.Task[None] | None] = set()

    async def enter(self, job: NewJob) -> None:
        """Returns once the job is in the ledger.

        Raises SQLAlchemy's errors: after OperationalError and InterfaceError it may be in the ledger all the same.
        """
        entered = asyncio.get_running_loop().create_future()
        self._waiting.append((job, entered))
        self._go_on()
        await entered

    def _go_on(self) -> None:
        """Start a statement for what waits, if all that are on their way hang, or none is."""
        if self._waiting and len(self._hanging) == len(self._under_way) < STATEMENTS:
            self._under_way.add(asyncio.create_task(self._work()))

    def _is_late(self, task: asyncio.Task[None] | None) -> None:
        self._hanging.add(task)
        self._go_on()

    async def _work(self) -> None:
        """Send statements until nothing waits, or until another does so since one of these hung."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            while group := self._next_group():
                late = loop.call_later(SOON_SECONDS, self._is_late, task)
                await self._enter(group)
                late.cancel()
                self._hanging.discard(task)
                if len(self._under_way) - len(self._hanging) > 1:
                    return
        finally:
            # At once, and not when the loop hears of the task's end: a job that comes in between would wait for a
            # statement that nobody sends.
            self._under_way.discard(task)
            self._hanging.discard(task)
            self._go_on()

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
