"""The table of artifacts: one row for each stored object that belongs to somebody."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from helixnet.db import Base


class Artifact(Base):
    __tablename__ = "artifacts"
    __table_args__ = (Index(None, "owner_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    storage_key: Mapped[str] = mapped_column(Text, unique=True)
    filename: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class OwnedFile(NamedTuple):
    """An artifact as far as a submission looks at it."""

    id: UUID
    filename: str
    media_type: str
    size: int


class DoomedPrefix(Base):
    """A promise to look under a prefix at `due_at` and delete every object there that has no artifact row.

    It is written before the first byte of an upload and when an attempt is given up, so that no crash can leave
    an object behind that nobody knows of, and no sweep has to list the whole bucket.
    """

    __tablename__ = "doomed_prefixes"
    __table_args__ = (Index(None, "due_at"),)

    prefix: Mapped[str] = mapped_column(Text, primary_key=True)
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
