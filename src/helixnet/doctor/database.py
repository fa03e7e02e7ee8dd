"""PostgreSQL: does it answer, is it fit, is it at our revision, and does it leave our work alone."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from helixnet import migrations
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.doctor import store
from helixnet.doctor.findings import Finding, error, ok, plain, said, warning, words
from helixnet.doctor.store import Server
from helixnet.jobs.store import survey
from helixnet.jobs.store.survey import OpenTransaction
from helixnet.users import service as users

OLDEST_VERSION = 15
LARGEST_SKEW = timedelta(seconds=5)
LOOKED_AT = 1000
# A transaction that lives longer keeps so much from being cleared that claims are felt to slow down.
LONG_TRANSACTION = timedelta(minutes=10)
MOST_TRANSACTIONS = 100
FULL = 0.8
# What HelixNet asks for in every session, in milliseconds.
ASKED_FOR = {"statement_timeout": 30_000, "idle_in_transaction_session_timeout": 60_000}
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
OTHERS = ("idle_session_timeout", "transaction_timeout")


@dataclass(frozen=True, slots=True)
class Condition:
    """What was found; whether the ledger can be read; and how long a job may run, as far as is known."""

    findings: list[Finding]
    readable: bool
    longest: timedelta


async def examine(settings: Settings, database: Database, longest: timedelta) -> Condition:
    """Look at the server, the session that it gives us, and the tables; `longest` is how long processors may take."""
    before, began = datetime.now(UTC), time.monotonic()
    try:
        async with database.transaction() as session:
            server = await store.server(session)
            after, took = datetime.now(UTC), time.monotonic() - began
            values = await store.settings(session, [*ASKED_FOR, *DURABLE, *OTHERS])
            open_long = await survey.open_transactions(session, LONG_TRANSACTION, MOST_TRANSACTIONS)
            sees_others = await store.sees_other_roles(session)
    except (SQLAlchemyError, OSError) as problem:
        advice = (
            "Connect directly, or let the pooler ignore it (PgBouncer: ignore_startup_parameters = options)."
            if "startup parameter" in str(problem)
            else "Start PostgreSQL, or correct HELIX_DATABASE_URL (host, port, password, database)."
        )
        message = f"The database does not answer: {said(problem, settings)}"
        return Condition([error("database.reachable", message, advice)], readable=False, longest=longest)
    revision, current = await _revision(settings)
    if current:
        async with database.transaction() as session:
            longest = max(longest, await store.longest_job(session, LOOKED_AT) or longest)
    found: list[Finding | None] = [
        ok("database.reachable", f"PostgreSQL {server.version_text} answers in {1000 * took:.0f} ms."),
        _fit(server),
        judge_clock(before, server.clock, after),
        _connections(server),
        *_durability(values),
        *_limits(values, longest),
        judge_transactions(open_long, sees_others=sees_others),
        revision,
        await _public_passwords(settings, database) if current else None,
    ]
    return Condition([finding for finding in found if finding is not None], current, longest)


def _fit(server: Server) -> Finding:
    if server.version < OLDEST_VERSION:
        return error(
            "database.version",
            f"PostgreSQL {server.version_text} is older than {OLDEST_VERSION}.",
            f"Upgrade it to {OLDEST_VERSION} or later.",
        )
    if server.standby or server.read_only:
        return error(
            "database.writable",
            "The database is a standby, or takes no writes." if server.standby else "The database takes no writes.",
            "Let HELIX_DATABASE_URL name the primary.",
        )
    return ok("database.version", f"PostgreSQL {server.version} takes writes.")


def judge_clock(before: datetime, clock: datetime, after: datetime) -> Finding:
    """How far this machine's clock is from the database's, which was read between two looks at ours."""
    skew = max(clock - after, before - clock, timedelta(0))
    facts = {"skew_seconds": round(skew.total_seconds(), 3)}
    if skew > LARGEST_SKEW:
        return warning(
            "database.clock",
            f"This machine's clock and the database's are {skew.total_seconds():.0f} s apart.",
            "Let every machine keep its time by NTP: sign-ins and signed links depend on it.",
            **facts,
        )
    return ok("database.clock", "This machine's clock agrees with the database's.", **facts)


def _connections(server: Server) -> Finding:
    used = f"{server.connections} of {server.most_connections} connections are used."
    if server.connections > FULL * server.most_connections:
        return warning(
            "database.connections",
            used,
            "Raise max_connections, or lower HELIX_DATABASE_POOL_SIZE or the number of processes.",
        )
    return ok("database.connections", used)


def judge_transactions(found: list[OpenTransaction], *, sees_others: bool) -> Finding:
    """Transactions that have been open for too long, the oldest first: vacuum clears nothing that ended since."""
    if not found:
        whose = "" if sees_others else " of HelixNet's role (of others it may not know: GRANT pg_read_all_stats)"
        return ok("database.transactions", f"No transaction{whose} has been open for {words(LONG_TRANSACTION)}.")
    oldest = found[0]
    who = f"the prepared transaction {plain(oldest.name)}"
    end = "COMMIT PREPARED or ROLLBACK PREPARED"
    if oldest.pid is not None:
        who = f"a transaction of {plain(oldest.name) or 'a nameless session'} (process {oldest.pid}, {oldest.state})"
        end = f"SELECT pg_terminate_backend({oldest.pid})"
    count = f"{len(found)} transactions have" if len(found) > 1 else "A transaction has"
    return warning(
        "database.transactions",
        f"{count} been open for long; for {words(timedelta(seconds=oldest.seconds))} {who}. "
        "Vacuum clears nothing that has ended since then, and claims become slower.",
        f"If nobody needs it, end it: {end}. Dump a big database from a replica.",
        seconds=round(oldest.seconds),
        transactions=len(found),
    )


def _durability(values: dict[str, str]) -> list[Finding]:
    unsafe = [name for name in DURABLE if values.get(name) == "off"]
    if not unsafe:
        return [ok("database.durability", "What is committed survives a crash.")]
    return [
        error(
            "database.durability",
            f"A crash of PostgreSQL loses accepted jobs, with these off: {', '.join(unsafe)}.",
            f"Set {', '.join(f'{name} = on' for name in unsafe)} in postgresql.conf, and for the role and database.",
        )
    ]


def _limits(values: dict[str, str], longest: timedelta) -> list[Finding]:
    found = []
    lost = [name for name, asked in ASKED_FOR.items() if int(values.get(name, asked)) != asked]
    if lost:
        found.append(
            warning(
                "database.session",
                f"{' and '.join(lost)} of our sessions are not what was asked for: something between drops it.",
                "Connect directly, or set them for the role: ALTER ROLE … SET statement_timeout = '30s', and so on.",
            )
        )
    idle = _milliseconds(values, "idle_session_timeout")
    if idle and idle < longest:
        found.append(
            warning(
                "database.idle_session_timeout",
                f"PostgreSQL ends idle sessions after {words(idle)}, and a job may run for {words(longest)}.",
                "Set idle_session_timeout = 0 for HelixNet's role: ALTER ROLE … SET idle_session_timeout = 0.",
            )
        )
    transaction = _milliseconds(values, "transaction_timeout")
    if transaction and transaction < timedelta(milliseconds=ASKED_FOR["statement_timeout"]):
        found.append(
            warning(
                "database.transaction_timeout",
                f"PostgreSQL ends transactions after {words(transaction)}; ours may take 30 s.",
                "Set transaction_timeout = 0 for HelixNet's role: ALTER ROLE … SET transaction_timeout = 0.",
            )
        )
    return found or [ok("database.limits", "No limit of the database is shorter than the work.")]


async def _revision(settings: Settings) -> tuple[Finding, bool]:
    try:
        at = await asyncio.to_thread(migrations.standing, settings.database_url.get_secret_value())
    except (CommandError, SQLAlchemyError) as problem:
        return error(
            "database.migrations", f"The revision can't be read: {said(problem, settings)}", "helix db check"
        ), False
    if at.current == at.newest:
        return ok("database.migrations", f"The tables are at revision {at.current}, the newest."), True
    if at.current is None:
        return error("database.migrations", "The database has no tables yet.", "Run: helix db init"), False
    if not at.known:
        return (
            warning(
                "database.migrations",
                f"The tables are at revision {at.current}, which is newer than this code ({at.newest}).",
                "Upgrade this installation: it works, but lacks what is new.",
            ),
            True,
        )
    return (
        error(
            "database.migrations",
            f"The tables are at revision {at.current}, and the code expects {at.newest}.",
            "Run: helix db upgrade",
        ),
        False,
    )


async def _public_passwords(settings: Settings, database: Database) -> Finding | None:
    if settings.development:
        return None
    async with database.transaction() as session:
        open_to_all = await users.with_public_passwords(session)
    if not open_to_all:
        return None
    return error(
        "users.passwords",
        f"Everybody knows the passwords of {', '.join(open_to_all)}: they are the development profile's.",
        "Make an administrator of your own (helix users create EMAIL --admin), then: helix users disable EMAIL",
    )


def _milliseconds(values: dict[str, str], name: str) -> timedelta:
    return timedelta(milliseconds=int(values.get(name, "0")))
