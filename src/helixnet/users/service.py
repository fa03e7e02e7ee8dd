"""The rules of accounts: sign-in, sessions, seeding."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import uuid_utils.compat as uuids
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet import log
from helixnet.errors import Conflict, Invalid, NotFound, Unauthenticated
from helixnet.users import store, tokens
from helixnet.users.models import User
from helixnet.users.passwords import hash_password, verify_password
from helixnet.users.schemas import Role

DEVELOPMENT_ACCOUNTS = (
    ("admin@helix.net", "admin", Role.ADMIN),
    ("demo@helix.net", "demo", Role.USER),
    ("chuck@helix.net", "chuck", Role.USER),
    ("marcel@helix.net", "marcel", Role.USER),
)
# What stands alone between an account and the world: NIST SP 800-63B-4, section 3.1.1.2.
SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 1024
LONGEST_EMAIL = 254  # RFC 5321, section 4.5.3.1.3

logger = log.logger("helix.auth")


def plain_email(email: str) -> str:
    """The one spelling under which an account is kept; raises Invalid for what can't be an address."""
    plain = email.strip().lower()
    if "@" not in plain or len(plain) > LONGEST_EMAIL or "\x00" in plain:
        raise Invalid("This is not an e-mail address.")
    return plain


async def create(session: AsyncSession, email: str, password: str, role: Role) -> bool:
    """Add an account; answers False when the e-mail has one already (which stays as it is)."""
    address = plain_email(email)
    if await store.by_email(session, address) is not None:
        return False
    return await store.insert_user(session, uuids.uuid7(), address, await hash_password(password), role)


async def add(session: AsyncSession, email: str, password: str, role: Role) -> str:
    """Add somebody's account; answers its e-mail as it is kept.

    Raises Invalid for a password that is too short or too long, Conflict when the e-mail has an account.
    """
    _check_password(password)
    if not await create(session, email, password, role):
        raise Conflict(f"There is an account for {plain_email(email)} already.")
    return plain_email(email)


async def change_password(session: AsyncSession, email: str, password: str) -> None:
    """Give an account another password, and end its sessions in browsers; access tokens end by themselves.

    Raises NotFound, and Invalid for a password that is too short or too long.
    """
    _check_password(password)
    user = await _known(session, email)
    await store.set_password(session, user.id, await hash_password(password))
    await store.delete_sessions_of(session, user.id)


async def set_active(session: AsyncSession, email: str, active: bool) -> None:
    """Let somebody sign in, or no longer, from this moment on; what they own stays, and their jobs run on.

    Raises NotFound, and Conflict for the last administrator who may sign in.
    """
    user = await _known(session, email)
    if not active and await store.lock_active_admins(session) == {user.id}:
        raise Conflict(f"{user.email} is the only administrator who can sign in.")
    await store.set_active(session, user.id, active)
    if not active:
        await store.delete_sessions_of(session, user.id)


async def by_email(session: AsyncSession, email: str) -> User:
    """The account of an e-mail; raises NotFound."""
    return await _known(session, email)


async def _known(session: AsyncSession, email: str) -> User:
    user = await store.by_email(session, plain_email(email))
    if user is None:
        raise NotFound(f"There is no account for {plain_email(email)}.")
    return user


def _check_password(password: str) -> None:
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(f"The password must have at least {SHORTEST_PASSWORD} characters.")
    if len(password) > LONGEST_PASSWORD:
        raise Invalid(f"The password must have at most {LONGEST_PASSWORD} characters.")


async def seed(session: AsyncSession) -> None:
    """Make sure that the development accounts exist. Their passwords are public: never call this in production."""
    for email, password, role in DEVELOPMENT_ACCOUNTS:
        if await create(session, email, password, role):
            logger.info(f"✨ Created new account: {email}", role=role)
        else:
            logger.info(f"👉 Account already exists: {email}")


async def authenticate(session: AsyncSession, email: str, password: str) -> User:
    """The user of this e-mail and password; raises Unauthenticated, the same for a wrong one and an unknown one."""
    wrong = Unauthenticated("The e-mail or the password is wrong.")
    if len(password) > LONGEST_PASSWORD:
        raise wrong
    try:
        user = await store.by_email(session, plain_email(email))
    except Invalid:
        user = None
    right = await verify_password(password, user.password_hash if user else None)
    if user is None or not right or not user.active:
        logger.warning("sign-in refused", email=email[:LONGEST_EMAIL])
        raise wrong
    return user


async def with_public_passwords(session: AsyncSession) -> list[str]:
    """The e-mails of development accounts that are active and whose passwords are still the known ones."""
    found = []
    for email, password, _role in DEVELOPMENT_ACCOUNTS:
        user = await store.by_email(session, email)
        if user is not None and user.active and await verify_password(password, user.password_hash):
            found.append(email)
    return found


async def by_token(session: AsyncSession, token: str, secret: str) -> User:
    """The active user whom an access token names; raises Unauthenticated."""
    user = await store.by_id(session, tokens.read(token, secret))
    if user is None or not user.active:
        raise Unauthenticated("This account is no longer active.")
    return user


async def open_session(session: AsyncSession, user_id: UUID, lifetime: timedelta) -> str:
    """Start a browser session; answers the secret for the cookie."""
    token = tokens.new_session_token()
    await store.insert_session(session, tokens.session_hash(token), user_id, lifetime)
    return token


async def by_session(session: AsyncSession, token: str, lifetime: timedelta) -> User | None:
    """The user of a live browser session, which is prolonged by the visit."""
    return await store.session_user(session, tokens.session_hash(token), lifetime)


async def close_session(session: AsyncSession, token: str) -> None:
    await store.delete_session(session, tokens.session_hash(token))


async def purge_sessions(session: AsyncSession) -> None:
    """Forget the sessions that have ended."""
    await store.delete_expired_sessions(session)


async def list_users(session: AsyncSession) -> Sequence[User]:
    return await store.all_users(session)
