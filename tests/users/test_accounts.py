"""Accounts as an operator makes and closes them, by the command line that runs in production."""

import re
import subprocess
from collections.abc import Callable
from datetime import timedelta

import pytest

from helixnet.db import Database
from helixnet.errors import Conflict, Invalid, NotFound, Unauthenticated
from helixnet.users import service
from helixnet.users.schemas import Role
from tests.stack.conftest import helix

pytestmark = pytest.mark.anyio

PASSWORD = "a horse and its battery"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def users(database_url: str) -> Command:
    """A command of `helix users` on this test's database, in production."""

    def run(*words: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        return helix("users", *words, said=said, HELIX_DATABASE_URL=database_url, HELIX_PROFILE="production")

    return run


async def test_an_operator_makes_the_first_account(users: Command, database: Database) -> None:
    made = users("create", " Ada@Example.org ", "--admin", said=PASSWORD + "\n")

    assert (made.returncode, made.stdout) == (0, "Created ada@example.org.\n"), made.stderr
    assert PASSWORD not in made.stdout + made.stderr
    async with database.transaction() as session:
        user = await service.authenticate(session, "ada@example.org", PASSWORD)
    assert (user.role, user.active) == (Role.ADMIN, True)


async def test_a_password_that_was_made_is_shown_once_and_signs_in(users: Command, database: Database) -> None:
    made = users("create", "ada@example.org", "--generate")

    (password,) = re.findall(r"^Its password is (\S{32})$", made.stdout, re.MULTILINE)
    async with database.transaction() as session:
        assert (await service.authenticate(session, "ada@example.org", password)).role == Role.USER


@pytest.mark.parametrize(
    ("words", "said", "answer"),
    [
        (("create", "ada@example.org"), "too short\n", "helix: The password must have at least 15 characters.\n"),
        (("create", "ada@example.org"), "", "helix: The password must have at least 15 characters.\n"),
        (("create", "nobody"), PASSWORD, "helix: This is not an e-mail address.\n"),
        (("set-password", "ada@example.org"), PASSWORD, "helix: There is no account for ada@example.org.\n"),
        (("disable", "ada@example.org"), "", "helix: There is no account for ada@example.org.\n"),
    ],
)
async def test_what_can_not_be_is_said(users: Command, words: tuple[str, ...], said: str, answer: str) -> None:
    done = users(*words, said=said)

    assert (done.returncode, done.stderr) == (1, answer)


async def test_an_e_mail_has_one_account(database: Database) -> None:
    async with database.transaction() as session:
        await service.add(session, "ada@example.org", PASSWORD, Role.USER)
        with pytest.raises(Conflict, match="already"):
            await service.add(session, "ADA@example.org", PASSWORD, Role.ADMIN)


async def test_another_password_ends_sessions_and_the_old_one_is_refused(database: Database) -> None:
    async with database.transaction() as session:
        await service.add(session, "ada@example.org", PASSWORD, Role.USER)
        user = await service.authenticate(session, "ada@example.org", PASSWORD)
        cookie = await service.open_session(session, user.id, timedelta(days=1))
    async with database.transaction() as session:
        await service.change_password(session, "ada@example.org", PASSWORD[::-1])

    async with database.transaction() as session:
        assert await service.by_session(session, cookie, timedelta(days=1)) is None
        with pytest.raises(Unauthenticated):
            await service.authenticate(session, "ada@example.org", PASSWORD)
        assert (await service.authenticate(session, "ada@example.org", PASSWORD[::-1])).id == user.id


async def test_who_is_closed_out_comes_back_and_the_last_administrator_stays(database: Database) -> None:
    async with database.transaction() as session:
        await service.add(session, "ada@example.org", PASSWORD, Role.ADMIN)
        await service.add(session, "bob@example.org", PASSWORD, Role.USER)
        await service.set_active(session, "bob@example.org", False)
    async with database.transaction() as session:
        with pytest.raises(Unauthenticated):
            await service.authenticate(session, "bob@example.org", PASSWORD)
        with pytest.raises(Conflict, match="only administrator"):
            await service.set_active(session, "ada@example.org", False)
        await service.set_active(session, "bob@example.org", True)
        assert (await service.authenticate(session, "bob@example.org", PASSWORD)).active
        await service.add(session, "eve@example.org", PASSWORD, Role.ADMIN)
        await service.set_active(session, "ada@example.org", False)


async def test_a_password_has_a_longest_length(database: Database) -> None:
    async with database.transaction() as session:
        with pytest.raises(Invalid, match="at most 1024"):
            await service.add(session, "ada@example.org", "x" * 1025, Role.USER)
        with pytest.raises(NotFound):
            await service.set_active(session, "ada@example.org", True)
