"""Passwords and tokens."""

from datetime import timedelta

import jwt
import pytest
import uuid_utils.compat as uuids

from helixnet.errors import Unauthenticated
from helixnet.users import tokens
from helixnet.users.passwords import hash_password, verify_password

pytestmark = pytest.mark.anyio

SECRET = "s" * 32


async def test_a_hash_is_bcrypt_and_verifies_its_password_alone() -> None:
    password_hash = await hash_password("correct horse")

    assert password_hash.startswith("$2b$12$")
    assert await verify_password("correct horse", password_hash)
    assert not await verify_password("correct horsf", password_hash)


async def test_every_byte_of_a_long_password_counts() -> None:
    password = "ü" * 60 + "end"

    password_hash = await hash_password(password)

    assert await verify_password(password, password_hash)
    assert not await verify_password("ü" * 60 + "eno", password_hash)


async def test_what_follows_a_nul_counts() -> None:
    assert not await verify_password("a\x00c", await hash_password("a\x00b"))


async def test_no_password_is_right_for_an_unknown_account() -> None:
    assert not await verify_password("an account that does not exist", None)


async def test_a_token_names_its_user() -> None:
    user_id = uuids.uuid7()

    assert tokens.read(tokens.issue(user_id, SECRET, timedelta(minutes=1)), SECRET) == user_id


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(tokens.issue(uuids.uuid7(), SECRET, timedelta(seconds=-1)), id="expired"),
        pytest.param(tokens.issue(uuids.uuid7(), "t" * 32, timedelta(minutes=1)), id="signed with another secret"),
        pytest.param(jwt.encode({"sub": "x"}, SECRET), id="without the claims"),
        pytest.param("not.a.token", id="not a token"),
        pytest.param("", id="empty"),
    ],
)
async def test_a_false_or_stale_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read(token, SECRET)


async def test_an_unsigned_token_is_refused() -> None:
    claims = jwt.decode(tokens.issue(uuids.uuid7(), SECRET, timedelta(minutes=1)), options={"verify_signature": False})
    with pytest.raises(Unauthenticated):
        tokens.read(jwt.encode(claims, "", "none"), SECRET)
