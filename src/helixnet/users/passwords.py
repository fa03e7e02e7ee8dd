"""Password hashes: bcrypt over a SHA-256 digest, computed off the event loop."""

import asyncio
import base64
import hashlib
from functools import cache

from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher

_HASHER = PasswordHash((BcryptHasher(),))


def _digest(password: str) -> bytes:
    """44 bytes that depend on every byte of the password: bcrypt reads 72 at most, refuses more, and stops at NUL."""
    return base64.b64encode(hashlib.sha256(password.encode()).digest())


async def hash_password(password: str) -> str:
    return await asyncio.to_thread(_HASHER.hash, _digest(password))


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password is right; takes as long for an unknown account (None) as for a known one."""
    right = await asyncio.to_thread(_HASHER.verify, _digest(password), password_hash or _nobodys_hash())
    return right and password_hash is not None


@cache
def _nobodys_hash() -> str:
    return _HASHER.hash(_digest("an account that does not exist"))
