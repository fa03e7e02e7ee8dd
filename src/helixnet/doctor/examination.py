"""The order of an examination: the settings, then every wire at once, then what they hold against each other."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from helixnet.blobs import BlobStore
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.doctor import broker, cache, configuration, database, entrance, ledger, storage
from helixnet.doctor.findings import Finding, Report, error, note, ok, said, words
from helixnet.jobs.store.queues import Standing
from helixnet.processors import registry

# A wire that has said nothing after this long is taken for broken.
WIRE_SECONDS = 20.0
# Looking at samples takes seconds. Being thorough takes what it takes.
SAMPLE_SECONDS = 120.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """How far the doctor looks: at `sample` rows and objects, or, `thorough`, at all of them.

    `url` is what users type; empty leaves out what stands before the web.
    """

    sample: int = 200
    thorough: bool = False
    url: str = ""


async def examine(settings: Settings, options: Options | None = None) -> Report:
    """Everything that can be found out from here; never raises for what is wrong outside."""
    return Report(await _Examination(settings, options or Options()).run())


class _Examination:
    def __init__(self, settings: Settings, options: Options) -> None:
        self._settings = settings
        self._options = options
        self._longest = timedelta(0)

    async def run(self) -> list[Finding]:
        found = [*configuration.examine(self._settings), *self._processors(), *await self._entrance()]
        if not self._settings.database_url.get_secret_value():
            outside = await asyncio.gather(self._broker(None), self._cache(), self._storage())
            return [*found, *outside[0], *outside[1], *outside[2][0]]
        pool = Database(self._settings.database_url.get_secret_value(), 4, "helix doctor")
        try:
            (inner, readable), hints, (objects, blobs) = await asyncio.gather(
                self._database_and_broker(pool), self._cache(), self._storage()
            )
            found += [*inner, *hints, *objects]
            if readable and blobs is not None:
                found += await self._reconcile(pool, blobs)
        finally:
            await pool.close()
        return found

    def _processors(self) -> list[Finding]:
        try:
            found = list(registry.load(development=self._settings.development))
        except Exception as problem:  # noqa: BLE001 - a plug-in may raise anything
            return [
                error(
                    "processors.load",
                    f"A processor can't be loaded: {said(problem, self._settings)}",
                    "Mend or remove its package: neither web nor worker starts with it.",
                )
            ]
        self._longest = max((processor.time_limit for processor in found), default=timedelta(0))
        loaded = ok("processors.load", f"{len(found)} processors; the longest may take {words(self._longest)}.")
        isolated = any(processor.isolation == "process" for processor in found)
        return [loaded, *(configuration.walls(self._settings) if isolated else [])]

    async def _database_and_broker(self, pool: Database) -> tuple[list[Finding], bool]:
        """The database, then the ledger in it, then the broker, whose queues the ledger names."""
        found: list[Finding] = []
        condition = await self._within(
            "database.reachable", found, database.examine(self._settings, pool, self._longest)
        )
        if condition is None or not condition.readable:
            found += condition.findings if condition else []
            return [*found, *await self._broker(None)], False
        found += condition.findings
        self._longest = condition.longest
        ledgers = await self._within("ledger", found, ledger.examine(self._settings, pool))
        about, standings = ledgers or ([], None)
        return [*found, *about, *await self._broker(standings)], True

    async def _broker(self, standings: list[Standing] | None) -> list[Finding]:
        if not self._settings.broker_url.get_secret_value():
            return []
        found: list[Finding] = []
        names = [standing.name for standing in standings or []]
        examined = broker.examine(self._settings, names, self._longest)
        about, visit = await self._within("broker.reachable", found, examined) or ([], None)
        found += about
        if visit is not None and standings:
            found += ledger.reconcile(standings, visit.queues)
        return found

    async def _cache(self) -> list[Finding]:
        found: list[Finding] = []
        return found + (await self._within("cache.reachable", found, cache.examine(self._settings)) or [])

    async def _entrance(self) -> list[Finding]:
        if not self._options.url:
            return []
        found: list[Finding] = []
        examined = entrance.examine(self._options.url, self._settings)
        return found + (await self._within("web.reachable", found, examined) or [])

    async def _storage(self) -> tuple[list[Finding], BlobStore | None]:
        if not self._settings.storage_url:
            return [], None
        found: list[Finding] = []
        about, blobs = await self._within("storage.works", found, storage.examine(self._settings)) or ([], None)
        return found + about, blobs

    async def _reconcile(self, pool: Database, blobs: BlobStore) -> list[Finding]:
        """The rows against the objects, both ways."""
        found: list[Finding] = []
        sample = None if self._options.thorough else self._options.sample
        seconds = None if self._options.thorough else SAMPLE_SECONDS
        for check, awaited in (
            ("storage.missing", storage.missing_objects(pool, blobs, self._settings, sample)),
            ("storage.orphans", storage.orphan_objects(pool, blobs, self._settings, sample)),
        ):
            found += await self._within(check, found, awaited, seconds) or []
        if sample is not None:
            found.append(note("storage.scope", f"{sample} rows and {sample} objects were looked at, at most.",
                              "Look at all of them by --thorough."))  # fmt: skip
        return found

    async def _within(
        self, check: str, found: list[Finding], awaited: Awaitable[T], seconds: float | None = WIRE_SECONDS
    ) -> T | None:
        """What is awaited; None, and a finding, when it takes too long or fails."""
        try:
            async with asyncio.timeout(seconds):
                return await awaited
        except TimeoutError:
            advice = "See whether the server hangs, or a firewall drops packets on the way."
            limit = "" if seconds is None else f" within {seconds:g} s"
            found.append(error(check, f"No answer{limit}.", advice))
        except Exception as problem:  # noqa: BLE001 - it is reported, and the rest is looked at
            message = f"It could not be looked at: {said(problem, self._settings)}"
            found.append(error(check, message, "Mend what else is said here, and ask again."))
        return None
