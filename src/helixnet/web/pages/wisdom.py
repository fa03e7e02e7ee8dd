"""The daily wisdom: one line for each day, from our own lines."""

from datetime import UTC, date, datetime

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from helixnet.web.pages.guard import PageRoute

router = APIRouter(route_class=PageRoute)

LINES = (
    "Chuck Norris doesn't retry failed jobs. The jobs apologise and run again.",
    "When Chuck Norris submits a job, it is COMPLETED before it is PENDING.",
    "Chuck Norris needs no lease. Work doesn't dare to be taken from him.",
    "The reaper collects lost workers. Then it asks Chuck Norris for permission.",
    "Chuck Norris can cancel a COMPLETED job.",
    "Race conditions are won by Chuck Norris.",
    "Chuck Norris reads from /dev/null and gets results.",
    "Chuck Norris's uploads have no limit. The limit has a Chuck Norris.",
    "A deadlock is two threads waiting for Chuck Norris to make up his mind.",
    "Chuck Norris commits once, and every replica on Earth agrees.",
    "There is no backoff with jitter. There is only the network, trembling before Chuck Norris.",
    "Chuck Norris writes code with no tests. Bugs read it and leave.",
    "The heartbeat of a worker proves that it lives. Chuck Norris's proves that you still may.",
    "Chuck Norris found the last digit of pi. It was hiding.",
    "When Chuck Norris pushes to main, main steps aside.",
    "Chuck Norris's cache is never invalid. Reality is.",
    "Exactly-once delivery is possible: Chuck Norris delivers, once.",
    "Chuck Norris can name things and count from any number without being off by one.",
    "The CAP theorem lets you pick two. Chuck Norris already took all three.",
    "Chuck Norris doesn't poll. Events come to him with their hats off.",
    "Time zones were introduced so that Chuck Norris could be right everywhere.",
    "Chuck Norris has no technical debt. Technology is in debt to him.",
    "A segmentation fault is what memory says when Chuck Norris knocks.",
    "Chuck Norris's regular expressions match what you meant.",
    "The garbage collector asks Chuck Norris before it takes anything out.",
    "Chuck Norris once divided by zero. The answer was: yes, sir.",
    "Vacuuming a table takes a while, unless Chuck Norris looks at the dead rows.",
    "Chuck Norris rolls back time instead of transactions.",
    "Undefined behaviour is well defined, once Chuck Norris has defined it.",
    "Clocks drift. Then they see Chuck Norris and synchronise.",
    "Chuck Norris closed an issue by staring at it. It was filed next year.",
    "The queue is empty because Chuck Norris came to the front.",
)


def line_of(day: date) -> str:
    """The line of a day, the same for everybody."""
    return LINES[day.toordinal() % len(LINES)]


@router.get("/wisdom")
async def wisdom() -> PlainTextResponse:
    return PlainTextResponse(line_of(datetime.now(UTC).date()))
