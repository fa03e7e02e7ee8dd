"""The tables of usage: calls to what costs money, their sums by owner and month, budgets, and answers.

No foreign key points to a job or an account: what was spent stays spent when either is gone.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Date, DateTime, Index, Integer, Numeric, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from helixnet.db import Base

# A token of the cheapest models costs a hundred-millionth of a dollar.
Money = Numeric(20, 10)
Moment = DateTime(timezone=True)


class Usage(Base):
    """A call: from its start with what it may take, once it is settled with what it took."""

    __tablename__ = "usage"
    __table_args__ = (Index(None, "job_id"), Index(None, "began_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    job_id: Mapped[UUID]
    attempt: Mapped[int] = mapped_column(Integer)
    processor: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    month: Mapped[date] = mapped_column(Date)  # the first of the month, in UTC, that it counts to
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Money)
    seconds: Mapped[float | None]
    estimated: Mapped[bool] = mapped_column(server_default="true")  # nobody has said what it really took
    settled: Mapped[bool] = mapped_column(server_default="false")
    began_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class UsageMonth(Base):
    """What an owner's calls of a month sum up to, the open ones with what they may take."""

    __tablename__ = "usage_months"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Money)


class Budget(Base):
    """What an owner may spend in a month, where it is not the default."""

    __tablename__ = "budgets"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Money)
    set_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class Answer(Base):
    """An answer that was paid for, kept for its owner until it expires."""

    __tablename__ = "answers"
    __table_args__ = (Index(None, "expires_at"),)

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    answer: Mapped[Any] = mapped_column(JSON)
    expires_at: Mapped[datetime] = mapped_column(Moment)
