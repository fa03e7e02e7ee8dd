"""The SQL of accounts."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.users.models import Session, User
from helixnet.users.schemas import Role


async def insert_user(session: AsyncSession, user_id: UUID, email: str, password_hash: str, role: str) -> bool:
    """Add an account unless its e-mail is taken; answers whether it was added."""
    statement = (
        insert(User)
        .values(id=user_id, email=email, password_hash=password_hash, role=role)
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User.id)
    )
    return await session.scalar(statement) is not None


async def by_email(session: AsyncSession, email: str) -> User | None:
    user: User | None = await session.scalar(select(User).where(User.email == email))
    return user


async def by_id(session: AsyncSession, user_id: UUID) -> User | None:
    return await session.get(User, user_id)


async def all_users(session: AsyncSession) -> Sequence[User]:
    return (await session.scalars(select(User).order_by(User.created_at, User.email))).all()


async def set_password(session: AsyncSession, user_id: UUID, password_hash: str) -> None:
    await session.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))


async def set_active(session: AsyncSession, user_id: UUID, active: bool) -> None:
    await session.execute(update(User).where(User.id == user_id).values(active=active))


async def lock_active_admins(session: AsyncSession) -> set[UUID]:
    """The administrators who may sign in; nobody else changes them until the transaction ends."""
    chosen = select(User.id).where(User.role == Role.ADMIN, User.active).order_by(User.id).with_for_update()
    return set(await session.scalars(chosen))


async def delete_sessions_of(session: AsyncSession, user_id: UUID) -> None:
    await session.execute(delete(Session).where(Session.user_id == user_id))


async def insert_session(session: AsyncSession, token_hash: bytes, user_id: UUID, lifetime: timedelta) -> None:
    await session.execute(
        insert(Session).values(token_hash=token_hash, user_id=user_id, expires_at=func.now() + lifetime)
    )


async def session_user(session: AsyncSession, token_hash: bytes, lifetime: timedelta) -> User | None:
    """The active user of a live session, which then lives on; written at most once an hour for each session."""
    row = (
        await session.execute(
            select(User, Session.expires_at < func.now() + lifetime - timedelta(hours=1))
            .join(Session, Session.user_id == User.id)
            .where(Session.token_hash == token_hash, Session.expires_at > func.now(), User.active)
        )
    ).one_or_none()
    if row is None:
        return None
    user: User = row[0]
    if row[1]:
        await session.execute(
            update(Session).where(Session.token_hash == token_hash).values(expires_at=func.now() + lifetime)
        )
    return user


async def delete_session(session: AsyncSession, token_hash: bytes) -> None:
    await session.execute(delete(Session).where(Session.token_hash == token_hash))


async def delete_expired_sessions(session: AsyncSession) -> None:
    await session.execute(delete(Session).where(Session.expires_at < func.now()))
