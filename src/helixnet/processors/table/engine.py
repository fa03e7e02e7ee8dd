"""DuckDB for one job: locked before it meets anything of the user's, bounded in memory, disk, threads and time."""

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from helixnet.processors.base import OverLimit
from helixnet.processors.context import BlockingContext
from helixnet.processors.table.problems import Failing, problem
from helixnet.processors.table.statement import Sql, parse
from helixnet.processors.table.words import Rows, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEBIBYTE, GIBIBYTE = 1024**2, 1024**3
MEMORY = 600 * MEBIBYTE
"""What DuckDB may hold; the process takes up to 300 MiB more: itself, and what DuckDB doesn't count."""
MOST_THREADS = 4
SPILL_BYTES = 32 * GIBIBYTE
"""What may be written to the scratch folder when memory is full; half of what is free there, if that is less."""
DEEPEST_EXPRESSION = 250
LOOK_SECONDS = 0.2
GRACE_SECONDS = 5.0
"""A query that doesn't listen to being interrupted is left behind after that: its process ends with the attempt."""
RESULT = "result"


class Engine:
    """A DuckDB that may read the one file and write to the scratch folder, and whose settings stand for good."""

    def __init__(self, context: BlockingContext, content: Path, seconds: int) -> None:
        self._context = context
        self._ends_at = time.monotonic() + seconds
        self._seconds = seconds
        self._is_left_behind = False
        # A name that says nothing of where the file is: DuckDB itself allows the file that the link leads to.
        self.content = context.scratch / "content"
        self.content.symlink_to(content)
        self.failing = Failing(str(self.content), context.inputs["content_key"].filename)
        self.connection = _locked(context.scratch, self.content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._is_left_behind:  # to close it would wait for the work
            self.connection.close()

    def result(self, ending: str) -> Path:
        """A file of the scratch folder that may be written: the result, in this format."""
        return self._context.scratch / f"{RESULT}.{ending}"

    def parse(self, text: str) -> Sql | None:
        """The statement of this text, None if it has none. Raises Reject for what may not be asked, and for no SQL."""
        import duckdb

        try:
            return parse(self.connection, text)
        except duckdb.Error as error:
            raise problem(error, replace(self.failing, sql=Sql(text))) from error

    def ask(
        self, statement: str, values: list[Any] | None = None, *, failing: Failing | None = None,
        told: tuple[float, float, str] | None = None,
    ) -> Rows:  # fmt: skip
        """The rows of a statement, while `told` (from which fraction to which, in which words) is told as progress.

        Raises Reject and OverLimit with DuckDB's reasons in the user's words; `failing` says what was at work.
        """
        import duckdb

        outcome: list[Rows | BaseException] = []

        def work() -> None:
            try:
                outcome.append(self.connection.execute(statement, values).fetchall())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._wait(thread, told)
        done = outcome[0]
        if isinstance(done, duckdb.Error):
            raise problem(done, failing or self.failing) from done
        if isinstance(done, BaseException):
            raise done
        return done

    def _wait(self, thread: threading.Thread, told: tuple[float, float, str] | None) -> None:
        """Wait for the work; raises OverLimit when its time is over."""
        thread.join(LOOK_SECONDS)
        while thread.is_alive():
            is_late = time.monotonic() >= self._ends_at
            if is_late or self._context.cancelled:
                self.connection.interrupt()
                thread.join(GRACE_SECONDS)
                self._is_left_behind = thread.is_alive()
                late = f"The work took longer than it may: {self._seconds} seconds (max_seconds)."
                raise OverLimit(late if is_late else "The work was stopped.")
            if told is not None:
                start, end, words = told
                done = min(max(self.connection.query_progress(), 0.0), 100.0) / 100
                self._context.progress(start + (end - start) * done, words)
            thread.join(LOOK_SECONDS)


def _locked(scratch: Path, content: Path) -> "DuckDBPyConnection":
    """A DuckDB in memory that reads `content`, writes the results and its own spill, and nothing else."""
    import duckdb

    spill = scratch / "spill"
    spill.mkdir()
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{MEMORY // MEBIBYTE}MiB",
            "threads": min(_cores(), MOST_THREADS),
            "async_threads": 1,
            "temp_directory": str(spill),
            "max_temp_directory_size": f"{min(SPILL_BYTES, shutil.disk_usage(scratch).free // 2) // MEBIBYTE}MiB",
            "enable_external_file_cache": False,
            "max_expression_depth": DEEPEST_EXPRESSION,
            "errors_as_json": True,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_extension_repositories": "forbidden",
            "allow_persistent_secrets": False,
        },
    )
    files = [content, *(scratch / f"{RESULT}.{ending}" for ending in ("parquet", "csv", "ndjson"))]
    connection.execute(f"SET allowed_paths = [{', '.join(literal(str(file)) for file in files)}]")
    # Progress can be asked for only where it could be printed, too.
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    # Of a table, never of a setting, which says where files are.
    connection.execute("SET show_behavior = 'table'")
    # Dates and times mean the same on every worker.
    connection.execute("SET TimeZone = 'UTC'")
    # From here on nothing but those files, and the settings stay as they are.
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
