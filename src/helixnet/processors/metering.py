"""What a metered processor may ask besides: to spend what its owner may spend, and to remember what was paid for."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from helixnet.processors.context import JobContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a call to a model takes, or may take at most. The cost is in the currency of the operator's prices."""

    model: str
    tokens_in: int
    tokens_out: int
    cost: Decimal = Decimal(0)
    seconds: float = 0.0
    estimated: bool = False


class Call(Protocol):
    """A call that is counted."""

    def settle(self, spent: Spending) -> None:
        """Say what the call took; said again, the last word counts. It is written down when the call's block ends,
        however that ends."""


class Meter(Protocol):
    """Counts what a job spends against its owner's budget."""

    def call(self, most: Spending) -> AbstractAsyncContextManager[Call]:
        """A call that is about to be made, and takes `most` at most: so much is set aside for as long as the block
        lasts, then what it really took is written down; a call that was never settled took nothing.

        Raises OverLimit when the owner's budget has no room for it.
        """


class Answers(Protocol):
    """Answers of earlier calls, of this owner's jobs and nobody else's."""

    async def recall(self, key: str) -> Any | None:
        """The answer that was kept under this key, or None; whatever it was, it is no longer than it was to be kept."""

    async def keep(self, key: str, answer: Any, lifetime: timedelta) -> None:
        """Keep an answer (JSON, not None) for a while. One that is too large is not kept."""


class MeteredContext(JobContext, Protocol):
    """`JobContext` of a processor that is `metered`."""

    @property
    def meter(self) -> Meter:
        """Counts what the job spends."""

    @property
    def answers(self) -> Answers:
        """What was answered before."""
