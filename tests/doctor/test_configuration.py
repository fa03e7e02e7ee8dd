"""The settings by themselves, and the command as users call it."""

import json
from collections.abc import Callable

import pytest

from helixnet.config import Settings
from helixnet.doctor import Level, configuration
from tests.conftest import Stack
from tests.stack.conftest import helix

MakeSettings = Callable[..., Settings]
ELSEWHERE = "postgresql://helix:{}@db.example/helix"


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({"secret_key": ""}, "settings.needed", Level.ERROR),
        ({"secret_key": "ab" * 20}, "settings.secret_key", Level.ERROR),
        ({"database_url": ELSEWHERE.format("postgres")}, "settings.passwords", Level.ERROR),
        ({"database_url": ELSEWHERE.format("helix")}, "settings.passwords", Level.ERROR),
        ({"storage_secret_key": "minioadmin"}, "settings.passwords", Level.ERROR),
        ({"broker_url": "amqp://h:8gh2kd@mq.example//"}, "settings.encryption", Level.NOTE),
        ({"storage_endpoint": "http://s3.example"}, "settings.encryption", Level.NOTE),
        ({"cookie_secure": False}, "settings.cookie_secure", Level.WARNING),
        ({"profile": "development", "database_url": ELSEWHERE.format("8gh2kd")}, "settings.profile", Level.WARNING),
    ],
)
def test_settings_that_are_weak(
    make_settings: MakeSettings, changes: dict[str, object], check: str, level: Level
) -> None:
    well = configuration.examine(make_settings(profile="production"))
    found = configuration.examine(make_settings(**{"profile": "production", **changes}))

    assert {finding.level for finding in well} == {Level.OK}
    assert [(finding.check, finding.level) for finding in found if finding.level is not Level.OK] == [(check, level)]


def test_settings_that_no_process_starts_with() -> None:
    done = helix("doctor", "--json", HELIX_SECRET_KEY="short", HELIX_LEASE_SECONDS="1")

    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert {finding["check"] for finding in said["findings"]} == {"settings.valid"}
    assert "at least 32 bytes" in done.stdout
    assert "short" not in done.stdout.replace("shorter", "")


def test_nothing_to_examine(tmp_path: object) -> None:
    done = helix("doctor", "--home", f"{tmp_path}/home")

    assert done.returncode == 2
    assert "HELIX_DATABASE_URL" in done.stdout
    assert "→ Set them, or name a running stack by --home." in done.stdout


def test_a_stack_that_runs_is_examined_by_its_home(stack: Stack) -> None:
    done = helix("doctor", "--json", "--home", stack.home)

    said = json.loads(done.stdout)
    assert [finding for finding in said["findings"] if finding["level"] in ("warning", "error")] == []
    assert (done.returncode, said["status"], said["exit_code"]) == (0, "ok", 0)
    checks = {finding["check"] for finding in said["findings"]}
    assert {"beat.alive", "workers.alive", "broker.reachable", "cache.hints", "storage.works"} <= checks


def test_warnings_alone_are_an_exit_code_of_their_own(stack: Stack) -> None:
    stack.sql("ALTER DATABASE helix SET idle_session_timeout = '30s'")
    try:
        warned = helix("doctor", "--home", stack.home)
    finally:
        stack.sql("ALTER DATABASE helix RESET idle_session_timeout")

    assert warned.returncode == 1, warned.stdout
    assert "0 errors, 1 warnings." in warned.stdout
    assert warned.stderr == ""
