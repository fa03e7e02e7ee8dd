"""`table.query` in its isolated process, on files of this machine and without the rest of the platform."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helixnet.processors import ProcessLimits, Reject
from helixnet.processors.table import QUERY
from tests.processors.sandbox import Sandbox, SandboxContext, Written, handed

EXAMPLE = Path(__file__).parents[2] / "examples" / "table-query"


@dataclass
class Tables:
    """Runs `table.query` again and again; `written` are the last one's artifacts."""

    sandbox: Sandbox
    written: dict[str, Written] = field(default_factory=dict)

    def ask(
        self,
        content: bytes | str | Path,
        sql: str | bytes | Path | None = None,
        name: str = "table.csv",
        limits: ProcessLimits = QUERY.limits,
        **params: Any,
    ) -> dict[str, Any]:
        """The result for this content and this SQL: each a file, or what it holds."""
        files = {"content_key": (name, content)} | ({} if sql is None else {"context_key": ("context.sql", sql)})
        context = SandboxContext({role: handed(_bytes(given), called) for role, (called, given) in files.items()})
        self.written = context.written
        result = self.sandbox.run(replace(QUERY, limits=limits), context, **params)
        assert isinstance(result, dict)
        return result

    def refusal(self, content: bytes | str | Path, sql: str | bytes | None = None, **more: Any) -> Reject:
        """Why this is turned away."""
        try:
            result = self.ask(content, sql, **more)
        except Reject as reject:
            return reject
        raise AssertionError(f"it is answered: {result}")

    def rows(self, content: bytes | str | Path, sql: str, **more: Any) -> list[list[Any]]:
        """The preview's rows."""
        rows: list[list[Any]] = self.ask(content, sql, **more)["preview"]["rows"]
        return rows


def _bytes(content: bytes | str | Path) -> bytes | Path:
    return content.encode() if isinstance(content, str) else content
