"""Settings for the doctor on real servers, and words for what it said."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helixnet.config import Settings
from helixnet.doctor import Level, Report
from helixnet.stack.servers import Valkey
from tests.conftest import running

# The tests' PostgreSQL forgets on a crash, and neither beat nor worker is there: what is said of them is right.
USUAL = {"database.durability", "beat.alive", "workers.alive"}


def troubles(report: Report) -> dict[str, Level]:
    """Every check that found something wrong, beside the usual, with how bad it is."""
    return {
        finding.check: finding.level
        for finding in report.findings
        if finding.level in (Level.WARNING, Level.ERROR) and finding.check not in USUAL
    }


@pytest.fixture
def make_settings(database_url: str, valkey: Valkey, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of an installation that is well, with changes."""

    def make(**changes: Any) -> Settings:
        well = {
            "profile": "development",
            "database_url": database_url,
            "broker_url": valkey.broker_url,
            "cache_url": valkey.cache_url,
            "storage_url": f"file://{tmp_path}/objects",
            "secret_key": secrets.token_urlsafe(48),
            # Nobody renews the leases of the tests' workers, and the machine may be busy.
            "lease_seconds": 120,
        }
        return Settings.model_validate(well | changes)

    return make


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Valkey]:
    """A Valkey that a test may spoil."""
    sockets = folder / f"v{secrets.token_hex(3)}"
    sockets.mkdir(mode=0o700)
    server = Valkey(sockets)
    with running(server):
        yield server
