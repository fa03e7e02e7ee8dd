"""The ledger: jobs that are stuck, queues that nobody serves, workers dead or idle, housekeeping that waits."""

from collections.abc import Mapping
from datetime import timedelta

from helixnet.config import Settings
from helixnet.db import Database
from helixnet.doctor import store
from helixnet.doctor.findings import Finding, error, note, ok, plain, warning, words
from helixnet.jobs.store import progress, queues
from helixnet.jobs.store.queues import CAP, Standing

# Housekeeping comes round every second or so; what is left after this long is not being looked after.
PATIENCE = timedelta(seconds=60)
PURGE_PATIENCE = timedelta(minutes=15)
SHOWN = 3
LIMIT = 1000


async def examine(settings: Settings, database: Database) -> tuple[list[Finding], list[Standing]]:
    """What is found in the ledger, and how its queues stand."""
    lease = timedelta(seconds=settings.lease_seconds)
    async with database.transaction() as session:
        standings = await queues.standing(session, lease)
        alive = await store.alive_workers(session, lease)
        dead = await store.dead_workers(session, lease + PATIENCE, LIMIT)
        beats = await store.beats(session)
        stuck = await store.stuck_jobs(session, lease, PATIENCE, LIMIT)
        unripe = await store.unripe(session, PATIENCE, LIMIT)
        unpurged = await store.unpurged(session, PURGE_PATIENCE, LIMIT)
        nodes = await progress.nodes(session, lease, PATIENCE, limit=LIMIT)
    found = [_beats(beats), _workers(alive, dead)]
    found += [_queue(standing) for standing in standings if standing.waiting]
    for node in nodes:
        if node.stalled:
            host = plain(node.name.partition("/")[0])
            found.append(
                error(
                    "workers.stalled",
                    f"The worker on {host} is alive and idle, and work waits in {plain(', '.join(node.waiting))}.",
                    "See that its HELIX_BROKER_URL is the web's and beat's, then restart that worker.",
                )
            )
    found.append(_stuck([(str(job_id), reason) for job_id, reason in stuck]))
    found += _overdue(unripe, unpurged)
    return found, standings


def reconcile(standings: list[Standing], queues_of_broker: Mapping[str, tuple[int, int | None]]) -> list[Finding]:
    """Where the ledger and the broker tell different stories about who serves a queue."""
    found = []
    for standing in standings:
        _rings, listeners = queues_of_broker.get(standing.name, (0, None))
        if standing.workers and listeners == 0:
            found.append(
                error(
                    "broker.listeners",
                    f"By the ledger {standing.workers} worker processes serve {plain(standing.name)}; "
                    "at this broker nobody listens.",
                    "Give web, workers and beat the same HELIX_BROKER_URL.",
                )
            )
    return found


def _beats(beats: int) -> Finding:
    if beats == 0:
        return error(
            "beat.alive",
            "No beat is connected: lost jobs are not taken back, and rings that are lost are not rung again.",
            "Start one: helix beat",
        )
    return ok("beat.alive", f"{beats} {'connection' if beats == 1 else 'connections'} of beat.")


def _workers(alive: int, dead: list[tuple[str, int, float]]) -> Finding:
    if dead:
        shown = ", ".join(f"{plain(host)} (process {pid}, silent for {words(timedelta(seconds=silent))})"
                          for host, pid, silent in dead[:SHOWN])  # fmt: skip
        return error(
            "workers.dead",
            f"{len(dead)} worker processes are dead and still in the ledger: {shown}.",
            "Beat takes them out: see that one runs and reaches the database.",
        )
    if alive == 0:
        return warning("workers.alive", "No worker process is alive.", "Start one: helix worker")
    return ok("workers.alive", f"{alive} worker {'process is' if alive == 1 else 'processes are'} alive.")


def _queue(standing: Standing) -> Finding:
    name = plain(standing.name)
    waiting = f"more than {CAP}" if standing.waiting > CAP else str(standing.waiting)
    jobs = "1 job waits" if standing.waiting == 1 else f"{waiting} jobs wait"
    facts = {"queue": name, "waiting": min(standing.waiting, CAP)}
    if standing.paused:
        return note(
            "queues.paused", f"The queue {name} is paused, and {jobs} in it.", "Resume it when it is time.", **facts
        )
    if standing.workers == 0:
        return error(
            "queues.unserved",
            f"Nobody serves the queue {name}, and {jobs} in it.",
            f"Start a worker with HELIX_QUEUES={name}.",
            **facts,
        )
    if standing.running_limit == 0 or standing.owner_running_limit == 0:
        return warning(
            "queues.closed",
            f"The queue {name} may run no job at once, and {jobs} in it.",
            "Raise its limit (PATCH /api/v1/queues/…), or pause it, which says so to those who wait.",
            **facts,
        )
    oldest = (
        ""
        if standing.oldest_seconds is None
        else f", the first for {words(timedelta(seconds=standing.oldest_seconds))}"
    )
    return ok("queues.served", f"In the queue {name} {jobs}{oldest}; {standing.workers} processes serve it.", **facts)


def _stuck(stuck: list[tuple[str, str]]) -> Finding:
    if not stuck:
        return ok("jobs.stuck", "No running job is stuck.")
    shown = ", ".join(f"{job_id} ({reason})" for job_id, reason in stuck[:SHOWN])
    count = f"at least {LIMIT}" if len(stuck) == LIMIT else str(len(stuck))
    return error(
        "jobs.stuck",
        f"{count} running {'job is' if len(stuck) == 1 else 'jobs are'} stuck: {shown}.",
        "Beat takes them back: see that one runs and reaches the database.",
        jobs=[job_id for job_id, _reason in stuck[:100]],
    )


def _overdue(unripe: int, unpurged: int) -> list[Finding]:
    found = []
    if unripe:
        found.append(
            error(
                "jobs.unripe",
                f"{unripe} jobs should have started and are in no line yet.",
                "Beat puts them there: see that one runs and reaches the database.",
            )
        )
    if unpurged:
        found.append(
            warning(
                "storage.unpurged",
                f"{unpurged} places in the object store should have been cleaned up a quarter of an hour ago.",
                "Beat does it: see that one runs and reaches the object store.",
            )
        )
    return found
