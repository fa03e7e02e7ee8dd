"""One question to the server, and its answer as it streams in. What the server and the network may do becomes one of
the errors below; nothing of the `openai` library is seen outside of this file."""

import contextlib
import email.utils
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helixnet.processors.base import UpstreamFailed
from helixnet.processors.llm.prompts import Message
from helixnet.processors.llm.settings import LlmSettings

if TYPE_CHECKING:
    from openai import APIStatusError
    from openai.types.chat import ChatCompletionChunk

CONNECT_SECONDS = 5.0
# A token is rarely longer than a word: from there on the server has not kept to the length that it was told.
LONGEST_TOKEN = 40
LONGEST_REASON = 500
# The server could not be reached: no token was read there, and none is paid for.
NOT_REACHED = frozenset({"ConnectError", "ConnectTimeout"})
# Too much at once, or a fault that may pass. 529 is what some servers say for being overloaded.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
CONTEXT_WORDS = (
    "context length",
    "context_length",
    "context size",
    "maximum context",
    "context window",
    "too many tokens",
)
NO_QUOTA = "insufficient_quota"

Show = Callable[[str], Awaitable[None]]


class TooLong(Exception):
    """The question does not fit into what the model reads at once, by the server's count."""


class Busy(Exception):
    """No answer, or a part of one; asking again may help. `after` is the wait in seconds that the server asked for."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked."""

    messages: list[Message]
    model: str
    max_tokens: int
    temperature: float | None = None
    seed: int | None = None
    schema: dict[str, Any] | None = None


@dataclass(slots=True)
class Heard:
    """What came of a question so far. `reached` says whether the server may have read it, and charge for it."""

    reached: bool = False
    pieces: list[str] = field(default_factory=list)
    characters: int = 0
    finish: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun


@dataclass(slots=True)
class _Ways:
    """How this server wants to be asked, as far as it has complained."""

    max_tokens: str = "max_tokens"
    structured: bool = True
    usage: bool = True


class Server:
    """The operator's server, for one attempt. Belongs to one event loop."""

    def __init__(self, settings: LlmSettings) -> None:
        self._settings = settings
        self._ways = _Ways()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connections to the server, for as long as the block lasts."""
        from openai import AsyncOpenAI, DefaultAsyncHttpx2Client, Timeout

        silence = self._settings.timeout_seconds
        timeout = Timeout(silence, connect=min(CONNECT_SECONDS, silence))
        # The key goes to the address that the operator wrote, and is led nowhere else. Who waits how long for what is
        # decided by whoever asks, not by the library.
        web = DefaultAsyncHttpx2Client(follow_redirects=False, timeout=timeout)
        self._client: AsyncOpenAI = AsyncOpenAI(
            base_url=self._settings.base_url,
            api_key=self._settings.api_key.get_secret_value() or "none",
            timeout=timeout,
            max_retries=0,
            http_client=web,
        )
        try:
            yield
        finally:
            await self._client.close()

    async def ask(self, question: Question, heard: Heard, show: Show | None) -> None:
        """Ask, and write what is heard into `heard`; `show` gets the answer piece by piece.

        Raises TooLong, Busy, and UpstreamFailed for what no further try would change.
        """
        from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

        try:
            while not await self._tried(question, heard, show):
                pass
        except APIStatusError as error:
            raise _refusal(error, question.model) from None
        except APITimeoutError:
            raise Busy(f"The language model said nothing for {self._settings.timeout_seconds:g} s.") from None
        except APIConnectionError as error:
            cause = type(error.__cause__).__name__
            heard.reached = heard.reached and cause not in NOT_REACHED
            raise Busy(
                "The server of language models can't be reached."
                if cause in NOT_REACHED
                else "The connection to the language model was cut."
            ) from None
        except APIError as error:
            # An error in the middle of a stream that began well.
            raise Busy(f"The language model broke off: {_told(error)}") from None
        except ValueError:
            raise Busy("The language model's answer can't be read: it is not what its protocol says.") from None
        if heard.finish is None:
            raise Busy("The language model's answer ended in the middle.")

    async def _tried(self, question: Question, heard: Heard, show: Show | None) -> bool:
        """Ask once; False when the server does not know a part of the question that can be said otherwise."""
        from openai import APIStatusError

        sent = self._ways.__class__(self._ways.max_tokens, self._ways.structured, self._ways.usage)
        heard.reached = True
        try:
            stream = await self._client.chat.completions.create(**_arguments(question, sent))
        except APIStatusError as error:
            heard.reached = False
            if (
                error.status_code in (400, 422)
                and not _is_too_long(error)
                and self._learn(_told(error), question, sent)
            ):
                return False
            raise
        async with stream:
            async for chunk in stream:
                piece = _take(chunk, heard)
                if piece and show is not None:
                    await show(piece)
                if heard.characters > LONGEST_TOKEN * question.max_tokens:
                    heard.finish = "length"
                    break
        return True

    def _learn(self, complaint: str, question: Question, sent: _Ways) -> bool:
        """Whether there is another way to ask what the server complained of."""
        if "max_completion_tokens" in complaint and sent.max_tokens == "max_tokens":
            self._ways.max_tokens = "max_completion_tokens"
        elif "stream_options" in complaint and sent.usage:
            self._ways.usage = False
        elif question.schema is not None and sent.structured:
            # Few servers know all of JSON Schema. The answer is held to it in any case.
            self._ways.structured = False
        else:
            return False
        return True


def _arguments(question: Question, ways: _Ways) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": question.model,
        "messages": question.messages,
        "stream": True,
        ways.max_tokens: question.max_tokens,
    }
    if ways.usage:
        arguments["stream_options"] = {"include_usage": True}
    if question.temperature is not None:
        arguments["temperature"] = question.temperature
    if question.seed is not None:
        arguments["seed"] = question.seed
    if question.schema is not None and ways.structured:
        wanted = {"name": "answer", "schema": question.schema}
        arguments["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return arguments


def _take(chunk: "ChatCompletionChunk", heard: Heard) -> str:
    """Note what a chunk says; answers its piece of text. Raises UpstreamFailed for a refusal.

    The library builds chunks without a look at their fields: what a server sends may be of any form.
    """
    usage = getattr(chunk, "usage", None)
    if usage is not None:
        heard.tokens_in = _count(getattr(usage, "prompt_tokens", None))
        heard.tokens_out = _count(getattr(usage, "completion_tokens", None))
    choices = getattr(chunk, "choices", None)
    if not isinstance(choices, list) or not choices:
        return ""
    choice = choices[0]
    delta = getattr(choice, "delta", None)
    refusal = getattr(delta, "refusal", None)
    if isinstance(refusal, str) and refusal:
        heard.pieces.append(refusal)
        heard.finish = "refusal"
    piece = getattr(delta, "content", None)
    if not isinstance(piece, str):
        piece = ""
    finish = getattr(choice, "finish_reason", None)
    if isinstance(finish, str):
        heard.finish = heard.finish or finish
    if piece:
        heard.pieces.append(piece)
        heard.characters += len(piece)
    return piece


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _refusal(error: "APIStatusError", model: str) -> Exception:
    """What an answer that is no answer means."""
    status = error.status_code
    # What it says of a key may hold a part of it.
    if status in (401, 403):
        return UpstreamFailed("The server of language models refuses the operator's key.", status=status)
    if status == 404:
        return UpstreamFailed(f"The server of language models does not know {model}.", status=status, said=_told(error))
    if _is_too_long(error):
        return TooLong(_told(error))
    if status == 429 and NO_QUOTA in (error.code, error.type):
        return UpstreamFailed("The operator's account at the server of language models is empty.", status=status)
    if status in PASSING:
        busy = status in (429, 503, 529)
        reason = (
            "The server of language models is busy." if busy else f"The server of language models failed ({status})."
        )
        return Busy(reason, _retry_after(error.response.headers.get("retry-after")))
    return UpstreamFailed(
        f"The server of language models does not take the request ({status}): {_told(error)}", status=status
    )


def _is_too_long(error: "APIStatusError") -> bool:
    if error.status_code not in (400, 413, 422):
        return False
    said = f"{error.code} {error.type} {_told(error)}".lower()
    return error.status_code == 413 or any(words in said for words in CONTEXT_WORDS)


def _told(error: Exception) -> str:
    """What the server said, cut to what a person reads."""
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, str):
        message = body if isinstance(body, str) else json.dumps(body, default=str) if body else str(error)
    return message[:LONGEST_REASON]


def _retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After header, which has a number or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return seconds if 0 <= seconds < float("inf") else None
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
