"""What a metered processor finds where there is no ledger: no budget, and nothing remembered."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from helixnet.processors.metering import Spending


@dataclass
class LocalCall:
    """A call; what it took is told once its block is over."""

    spent: Spending | None = None

    def settle(self, spent: Spending) -> None:
        self.spent = spent


@dataclass(frozen=True)
class LocalMeter:
    """A `Meter` without a budget: `tell` is called with what each call took."""

    tell: Callable[[Spending], None]

    @asynccontextmanager
    async def call(self, most: Spending) -> AsyncIterator[LocalCall]:  # noqa: ARG002 - nothing is set aside
        call = LocalCall()
        try:
            yield call
        finally:
            if call.spent is not None:
                self.tell(call.spent)


class ForgetfulAnswers:
    """`Answers` of a run that is the only one there is."""

    async def recall(self, key: str) -> Any | None:  # noqa: ARG002
        return None

    async def keep(self, key: str, answer: Any, lifetime: timedelta) -> None:
        """Forget it."""
