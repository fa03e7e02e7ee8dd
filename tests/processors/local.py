"""An implementation of the processor protocol without the platform, and the texts that `text.analyze` is tried on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from helixnet.processors import Input, JobContext, Reject
from helixnet.processors.text.analyze import analyze as text_analyze
from helixnet.processors.text.results import Analysis, AnalyzeParams, Span

EXAMPLES = Path(__file__).parents[2] / "examples"
PIECE_BYTES = 256 * 1024
CONTENT = (EXAMPLES / "content_file.txt").read_bytes()
CONTEXT = (EXAMPLES / "context_file.txt").read_bytes()

ENGLISH = "We'll meet at the café, she said. It cost five euros, and nobody objected to that at all."
FRENCH = "Déjà vu : le café où nous étions allés hier était fermé à cause de la grève, et c'était gênant pour nous."
GERMAN = "Die Bücher müssen geführt werden. Das Gedächtnis ist kürzer als der Streit über Maße und über Größen."
SWEDISH = "Vi för böcker eftersom minnet är kort och grälen är långa. Så är det på många håll också i våra städer."
CZECH = "Vedeme účetní knihy, protože paměť je krátká a hádky jsou dlouhé. Tak je to všude a nejen u nás doma."
RUSSIAN = "Мы ведём книги, потому что память коротка, а споры долгие. Каждый день мы записываем всё, что произошло."
JAPANESE = (
    "データベースは記録を保存します。記録は失われてはなりません。管理者は毎日データベースの記録を確認します。\r\n\r\n"
    "請求書は会計部が管理します。会計部は月末に請求書を発行します。"
)
CHINESE = "数据库保存记录。记录不能丢失。管理员每天检查数据库的记录。\n\n发票由会计部门管理。会计部门在月底开具发票。"
KOREAN = "우리는 장부를 기록한다. 기억은 짧고 다툼은 길기 때문이다. 매일 일어난 일을 모두 적어 둔다."


@dataclass(frozen=True)
class LocalInput:
    """An input whose bytes are at hand."""

    content: bytes
    filename: str = "file.txt"
    key: str = "local/file.txt"
    media_type: str = "application/octet-stream"
    sha256: str = ""

    @property
    def size(self) -> int:
        return len(self.content)

    async def read(self, limit: int) -> bytes:
        if len(self.content) > limit:
            raise Reject("too large")
        return self.content

    async def stream(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), PIECE_BYTES):
            yield self.content[start : start + PIECE_BYTES]

    async def path(self) -> Path:
        raise AssertionError("a text is read from its bytes")


@dataclass
class LocalContext:
    """An implementation of JobContext without the platform, for running a processor locally."""

    inputs: Mapping[str, Input]
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False
    scratch: Path = Path("/nonexistent")
    idempotency_key: str = "local"
    steps: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def progress(self, fraction: float, message: str = "") -> None:
        assert message
        self.steps.append(fraction)

    async def log(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    async def write(
        self, name: str, content: bytes | Path | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        raise AssertionError("of a plain text nothing is written")

    async def output(self, text: str) -> None:
        raise AssertionError("nothing is shown in pieces")


def local(content: bytes, context: bytes | None = None) -> LocalContext:
    inputs: dict[str, Input] = {"content_key": LocalInput(content)}
    if context is not None:
        inputs["context_key"] = LocalInput(context)
    return LocalContext(inputs)


def run(context: JobContext, **params: int) -> Analysis:
    result = asyncio.run(text_analyze(context, AnalyzeParams.model_validate(params)))
    assert isinstance(result, Analysis)
    return result


def analyze(content: bytes, context: bytes | None = None, **params: int) -> Analysis:
    return run(local(content, context), **params)


def spans(result: Analysis) -> list[Span]:
    return [*result.summary, *(span for answer in result.passages for span in answer.found)]
