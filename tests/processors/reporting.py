"""`document.report` without the platform: files in, a report and its artifacts out."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from helixnet.processors import BlockingInput, Reject
from helixnet.processors.document.report import report
from helixnet.processors.document.results import Report, ReportParams

SALES = Path(__file__).parents[2] / "examples" / "sales-report"


@dataclass(frozen=True)
class LocalFile:
    """An input whose bytes are at hand."""

    content: bytes
    filename: str = "file"
    key: str = "local/file"
    media_type: str = "application/octet-stream"
    sha256: str = ""

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, limit: int) -> bytes:
        assert len(self.content) <= limit
        return self.content

    def stream(self) -> Iterator[bytes]:
        yield self.content

    def path(self) -> Path:
        raise AssertionError("it reads its files as bytes")


@dataclass
class LocalBlocking:
    """An implementation of BlockingContext without the platform."""

    inputs: Mapping[str, BlockingInput]
    scratch: Path
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    idempotency_key: str = "local"
    cancelled: bool = False
    lines: list[str] = field(default_factory=list)
    written: dict[str, bytes] = field(default_factory=dict)

    def progress(self, fraction: float, message: str = "") -> None:
        assert message

    def log(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    def output(self, text: str) -> None:
        raise AssertionError("a report is not shown in pieces")

    def write(
        self, name: str, content: bytes | Path | Iterable[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        assert isinstance(content, bytes)
        self.written[name] = content
        return name


@dataclass
class Made:
    result: Report
    written: dict[str, bytes]
    lines: list[str]

    @property
    def text(self) -> str:
        """The report itself."""
        return self.written[self.result.made[0].name].decode()


def make(
    content: str | bytes = "{}",
    name: str = "content.json",
    *,
    context: str | None = None,
    schema: str | None = None,
    template: str | None = None,
    template_name: str = "template.md.j2",
    **params: Any,
) -> Made:
    """A report of these files."""
    files: dict[str, BlockingInput] = {
        "content_key": LocalFile(content.encode() if isinstance(content, str) else content, name)
    }
    for role, text, filename in (
        ("context_key", context, "context.yaml"),
        ("schema_key", schema, "schema.json"),
        ("template_key", template, template_name),
    ):
        if text is not None:
            files[role] = LocalFile(text.encode(), filename)
    with tempfile.TemporaryDirectory() as scratch:
        local = LocalBlocking(files, Path(scratch))
        result = report(local, ReportParams.model_validate(params))
    return Made(result, local.written, local.lines)


def refusal(*args: Any, **files: Any) -> Reject:
    """What is said of files that no report can be made of."""
    with pytest.raises(Reject) as caught:
        make(*args, **files)
    return caught.value
