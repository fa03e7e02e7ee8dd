"""One job's way from its content to its answer: in one call, or by notes on its parts."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from helixnet.processors.base import OverLimit, UpstreamFailed
from helixnet.processors.llm.asking import Asking, Reply
from helixnet.processors.llm.params import LlmParams
from helixnet.processors.llm.prompts import Message, Prompts
from helixnet.processors.llm.server import Question, TooLong
from helixnet.processors.llm.settings import LlmSettings
from helixnet.processors.llm.structured import the_data
from helixnet.processors.llm.tokens import MESSAGE_TOKENS, SMALLEST_PART, estimate, split
from helixnet.processors.metering import MeteredContext

# Notes are this much shorter than what they are on, so that each round over them ends nearer to one part.
NOTES_SHARE = 4
MOST_ROUNDS = 6

T = TypeVar("T")


class Work:
    """One job's way from its content to its answer."""

    def __init__(
        self,
        context: MeteredContext,
        params: LlmParams,
        settings: LlmSettings,
        asking: Asking,
        model: str,
        prompts: Prompts,
    ) -> None:
        self._context = context
        self._params = params
        self._settings = settings
        self._asking = asking
        self._model = model
        self._prompts = prompts
        self._places = asyncio.Semaphore(settings.concurrency)
        self._room = self._first_room()
        self._asked: list[Message] = []
        self.parts = 1

    async def answered(self, content: str | None, schema: dict[str, Any] | None = None) -> Reply:
        """The answer to the instruction. Content that is too long becomes notes, as often as it takes."""
        if content is None:
            return await self._last(None, schema, notes=False)
        rounds = 0
        while True:
            parts = await asyncio.to_thread(split, content, self._room)
            if len(parts) <= 1:
                try:
                    return await self._last(content, schema, notes=rounds > 0)
                except TooLong:
                    # Its tokens are more than they were taken for.
                    self._shrink(estimate(content))
            elif rounds == MOST_ROUNDS:
                raise OverLimit(
                    "The model's notes on the content do not get shorter: ask for less, or of another model."
                )
            else:
                content = await self._notes(parts, rounds)
                rounds += 1

    async def structured(self, content: str | None, schema: dict[str, Any]) -> tuple[Reply, Any, int]:
        """The answer as data that fits the schema, and how often it had to be asked for again."""
        reply = await self.answered(content, schema)
        wrong: list[str] = []
        for repairs in range(self._params.repairs + 1):
            if reply.truncated:
                raise OverLimit(
                    f"The answer is longer than max_output_tokens ({self._params.max_output_tokens}), and so no whole"
                    " JSON document."
                )
            data, wrong = await the_data(schema, reply.text)
            if not wrong:
                return reply, data, repairs
            if repairs < self._params.repairs:
                await self._context.log("The answer does not fit the schema; it is asked for again.", first=wrong[0])
                await self._context.output("\n\n")
                self._asked = self._prompts.repair(self._asked, reply.text, wrong)
                try:
                    reply = await self._asking.ask(self._question(self._asked, schema), self._context.output)
                except TooLong:
                    raise OverLimit("There is no room left for the model to correct its answer.") from None
        tries = self._params.repairs + 1
        raise UpstreamFailed(
            f"The language model gave no answer that fits the schema, in {tries} {'try' if tries == 1 else 'tries'}.",
            violations=wrong,
        )

    async def _last(self, content: str | None, schema: dict[str, Any] | None, *, notes: bool) -> Reply:
        """The call whose words are the answer: they are shown as they come."""
        await self._context.progress(0.9 if notes else 0.05, "waiting for the answer")
        self._asked = self._prompts.whole(content, notes=notes)
        try:
            return await self._asking.ask(self._question(self._asked, schema), self._context.output)
        except TooLong:
            if content is None:
                raise OverLimit("The instruction alone is longer than the model can read.") from None
            raise

    async def _notes(self, parts: Sequence[str], rounds: int) -> str:
        """Notes on all parts, in their order; many are asked for at once."""
        count = len(parts)
        if self._params.long_content == "refuse":
            raise OverLimit(
                f"The content has about {sum(map(estimate, parts))} tokens, which is more than the model reads at"
                " once, and long_content is `refuse`."
            )
        if count > self._settings.max_calls:
            raise OverLimit(
                f"The content would take {count} calls, and a job may make {self._settings.max_calls}: it is too long."
            )
        if not rounds:
            self.parts = count
            await self._context.log("The content is read in parts.", parts=count, tokens=self._room)
        done = 0

        async def note(number: int, part: str) -> str:
            nonlocal done
            async with self._places:
                found = await self._note(part, number, count)
            done += 1
            first, last = (0.05, 0.85) if not rounds else (0.85, 0.9)
            await self._context.progress(first + (last - first) * done / count, f"read part {done} of {count}")
            return found

        notes = await _all([note(number, part) for number, part in enumerate(parts, start=1)])
        return "\n\n".join(notes)

    async def _note(self, part: str, number: int, count: int) -> str:
        """Notes on a part; one that is too long for the server after all is read in two halves."""
        longest = max(SMALLEST_PART // 2, min(self._params.max_output_tokens, self._room // NOTES_SHARE))
        messages = self._prompts.part(part, number, count)
        try:
            reply = await self._asking.ask(self._question(messages, None, longest))
        except TooLong:
            size = estimate(part)
            self._shrink(size)
            halves = await asyncio.to_thread(split, part, max(SMALLEST_PART // 2, size // 2 + 1))
            return "\n".join([await self._note(half, number, count) for half in halves])
        if reply.truncated:
            await self._context.log("The notes on a part were cut off at their longest.", part=number, tokens=longest)
        return reply.text.strip()

    def _question(self, messages: list[Message], schema: dict[str, Any] | None, longest: int | None = None) -> Question:
        return Question(
            messages=messages,
            model=self._model,
            max_tokens=longest or self._params.max_output_tokens,
            temperature=self._params.temperature,
            seed=self._params.seed,
            schema=schema,
        )

    def _first_room(self) -> int:
        """The tokens that one call has for content, beside the instruction and the answer. Raises OverLimit."""
        around = max(
            sum(estimate(message["content"]) + MESSAGE_TOKENS for message in messages)
            for messages in (self._prompts.whole("", notes=True), self._prompts.part("", 1, 1))
        )
        room = self._settings.context_tokens - self._params.max_output_tokens - around
        if room < SMALLEST_PART:
            raise OverLimit(
                f"There is no room for content: the model reads and writes {self._settings.context_tokens} tokens at"
                f" once, the instruction takes about {around}, and max_output_tokens is"
                f" {self._params.max_output_tokens}."
            )
        return min(room, self._params.part_tokens or room)

    def _shrink(self, refused: int) -> None:
        """From now on parts are half as long as one that was refused. Raises OverLimit when that leads nowhere."""
        if refused < SMALLEST_PART:
            raise OverLimit("The server's model can't read even a small part of the content beside the instruction.")
        self._room = max(SMALLEST_PART // 2, min(self._room, refused // 2))


async def _all(works: Sequence[Awaitable[T]]) -> list[T]:
    """What all of them come to, in order; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_one(work)) for work in works]
    except BaseExceptionGroup as failed:
        # One error is the outcome of the job; the others were its like, or came of it.
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


async def _one(work: Awaitable[T]) -> T:
    return await work
