"""The questions of one attempt: counted before they are asked, answered from memory where they can be, and asked again
while the server is busy."""

import hashlib
import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import anyio
import orjson

from helixnet.processors.base import Retry, UpstreamFailed
from helixnet.processors.llm.server import Busy, Heard, Question, Server, Show
from helixnet.processors.llm.settings import LlmSettings
from helixnet.processors.llm.tokens import MESSAGE_TOKENS, estimate
from helixnet.processors.metering import MeteredContext, Spending

TRIES = 4
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT = timedelta(days=1)
LONGEST_REFUSAL = 500


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's words. `truncated`: they were cut off at the longest length."""

    text: str
    truncated: bool


@dataclass(slots=True)
class Tally:
    """What an attempt has asked and spent so far."""

    calls: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = Decimal(0)
    seconds: float = 0.0
    estimated: bool = False

    def add(self, spent: Spending) -> None:
        self.tokens_in += spent.tokens_in
        self.tokens_out += spent.tokens_out
        self.cost += spent.cost
        self.seconds += spent.seconds
        self.estimated = self.estimated or spent.estimated


class Asking:
    """Asks for one attempt. `remembers` says whether answers are taken from, and kept in, the owner's memory."""

    def __init__(self, context: MeteredContext, settings: LlmSettings, server: Server, *, remembers: bool) -> None:
        self._context = context
        self._settings = settings
        self._server = server
        self._remembers = remembers and settings.cache_days > 0
        self.tally = Tally()

    async def ask(self, question: Question, show: Show | None = None) -> Reply:
        """The answer to a question; `show` gets it piece by piece.

        Raises TooLong, Retry when the server stays busy, UpstreamFailed when it refuses, OverLimit over the budget.
        """
        key = self._key(question) if self._remembers else ""
        known = await self._context.answers.recall(key) if key else None
        if isinstance(known, str):
            self.tally.cached += 1
            if show is not None:
                await show(known)
            return Reply(known, truncated=False)
        reply = await self._asked(question, show)
        self.tally.calls += 1
        if key and not reply.truncated:
            await self._context.answers.keep(key, reply.text, timedelta(days=self._settings.cache_days))
        return reply

    async def _asked(self, question: Question, show: Show | None) -> Reply:
        tries = 0
        while True:
            tries += 1
            try:
                return await self._once(question, show)
            except Busy as busy:
                wait = busy.after if busy.after is not None else _backoff(tries)
                if tries >= TRIES or wait > self._settings.patience_seconds:
                    after = None if busy.after is None else min(timedelta(seconds=busy.after), LONGEST_WAIT)
                    raise Retry(busy.reason, after) from None
                await self._context.log(f"{busy.reason} It is asked again.", seconds=round(wait, 1))
            await anyio.sleep(wait)

    async def _once(self, question: Question, show: Show | None) -> Reply:
        most = self._most(question)
        async with self._context.meter.call(most) as call:
            heard = Heard()
            try:
                await self._server.ask(question, heard, show)
            finally:
                # Cut off or told to stop in the middle: what was read and written until then is paid for.
                if heard.reached:
                    spent = self._spent(question, heard, most)
                    call.settle(spent)
                    self.tally.add(spent)
        if heard.finish in ("refusal", "content_filter"):
            raise UpstreamFailed("The language model refuses to answer this.", refusal=heard.text[:LONGEST_REFUSAL])
        return Reply(heard.text, truncated=heard.finish == "length")

    def _most(self, question: Question) -> Spending:
        tokens_in = sum(estimate(message["content"]) + MESSAGE_TOKENS for message in question.messages)
        cost = self._settings.cost(question.model, tokens_in, question.max_tokens)
        return Spending(model=question.model, tokens_in=tokens_in, tokens_out=question.max_tokens, cost=cost)

    def _spent(self, question: Question, heard: Heard, most: Spending) -> Spending:
        """By the server's own count, or by ours where it told none."""
        tokens_in = heard.tokens_in if heard.tokens_in is not None else most.tokens_in
        tokens_out = heard.tokens_out if heard.tokens_out is not None else estimate(heard.text)
        return Spending(
            model=question.model,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost=self._settings.cost(question.model, tokens_in, tokens_out),
            seconds=heard.seconds,
            estimated=heard.tokens_in is None or heard.tokens_out is None,
        )

    def _key(self, question: Question) -> str:
        """All that an answer depends on: the server, the model, and every word and number of the question."""
        asked = [
            self._settings.base_url,
            question.model,
            question.messages,
            question.max_tokens,
            question.temperature,
            question.seed,
            question.schema,
        ]
        return hashlib.sha256(orjson.dumps(asked)).hexdigest()


def _backoff(tries: int) -> float:
    """Seconds; exponential, with jitter so that jobs that were turned away together do not come back together."""
    return random.uniform(0.5, 1) * FIRST_WAIT_SECONDS * 2.0 ** (tries - 1)  # noqa: S311 - spreads load, guards nothing
