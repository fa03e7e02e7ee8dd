"""A metered context without the platform: what `llm.run` spends, remembers and tells stays in lists."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from helixnet.processors import Input, OverLimit, Reject, Spending
from helixnet.processors.llm.params import LlmParams, LlmResult
from helixnet.processors.llm.run import run
from tests.processors.llm_stand_in import KEY, StandIn


@dataclass(frozen=True)
class TextInput:
    content: bytes
    filename: str = "file.txt"
    key: str = "local/file.txt"
    media_type: str = "text/plain"
    sha256: str = ""

    @property
    def size(self) -> int:
        return len(self.content)

    async def read(self, limit: int) -> bytes:
        if len(self.content) > limit:
            raise Reject("too large")
        return self.content

    async def stream(self) -> AsyncIterator[bytes]:
        yield self.content

    async def path(self) -> Path:
        raise AssertionError("llm.run reads streams")


@dataclass
class LocalCall:
    spent: Spending | None = None

    def settle(self, spent: Spending) -> None:
        self.spent = spent


@dataclass
class LocalMeter:
    """Counts, and refuses what may cost more than `budget` together."""

    budget: Decimal | None = None
    asked: list[Spending] = field(default_factory=list)
    spent: list[Spending] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    @asynccontextmanager
    async def call(self, most: Spending) -> AsyncIterator[LocalCall]:
        if self.budget is not None and sum((one.cost for one in self.spent), Decimal(0)) + most.cost > self.budget:
            raise OverLimit("The budget of this month is spent.")
        self.asked.append(most)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        call = LocalCall()
        try:
            yield call
        finally:
            self.open -= 1
            if call.spent is not None:
                self.spent.append(call.spent)


@dataclass
class LocalAnswers:
    kept: dict[str, Any] = field(default_factory=dict)

    async def recall(self, key: str) -> Any | None:
        return self.kept.get(key)

    async def keep(self, key: str, answer: Any, lifetime: timedelta) -> None:
        assert lifetime > timedelta(0)
        self.kept[key] = answer


@dataclass
class LlmContext:
    inputs: Mapping[str, Input]
    meter: LocalMeter = field(default_factory=LocalMeter)
    answers: LocalAnswers = field(default_factory=LocalAnswers)
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    scratch: Path = Path("/nonexistent")
    cancelled: bool = False
    steps: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    written: dict[str, bytes] = field(default_factory=dict)

    @property
    def idempotency_key(self) -> str:
        return str(self.job_id)

    async def progress(self, fraction: float, message: str = "") -> None:
        self.steps.append(fraction)

    async def log(self, message: str, **_fields: object) -> None:
        self.lines.append(message)

    async def output(self, text: str) -> None:
        self.shown.append(text)
        self.more.set()

    async def has_shown(self, text: str) -> None:
        """Returns once this much of the answer was shown."""
        while "".join(self.shown) != text:
            self.more.clear()
            await self.more.wait()

    async def write(
        self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        assert isinstance(content, bytes)
        self.written[name] = content
        return name


def context(instruction: str = "Repeat it.", content: str | None = "The moon is far.", **more: str) -> LlmContext:
    """A context with these files; `schema` and `template` may be given as well."""
    files = {"context_key": instruction} | ({} if content is None else {"content_key": content})
    files |= {f"{name}_key": text for name, text in more.items()}
    inputs: dict[str, Input] = {role: TextInput(text.encode()) for role, text in files.items()}
    return LlmContext(inputs)


def choose(monkeypatch: pytest.MonkeyPatch, server: StandIn, **settings: object) -> None:
    """Set the stand-in up as the operator would, with settings by name."""
    usual = {"base_url": server.url, "api_key": KEY, "model": "small"}
    for name, value in (usual | settings).items():
        monkeypatch.setenv(f"HELIX_LLM_{name.upper()}", str(value))


async def answer(given: LlmContext, **params: object) -> LlmResult:
    return await run(given, LlmParams.model_validate(params))
