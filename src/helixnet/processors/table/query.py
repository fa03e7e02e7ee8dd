"""The steps of `table.query`: recognise the file, lock DuckDB, bind the table, then query it or profile it."""

import time
from datetime import timedelta

from helixnet.processors.base import InputRole, Output, ProcessLimits, Processor, RetryPolicy
from helixnet.processors.context import BlockingContext
from helixnet.processors.table import answer, profile, statement
from helixnet.processors.table.engine import GIBIBYTE, SPILL_BYTES, Engine
from helixnet.processors.table.reading import Content, bind, left_out
from helixnet.processors.table.results import Artifact, ProfileResult, QueryParams, QueryResult, Source
from helixnet.processors.table.sources import Recognised, recognise

LARGEST_CONTENT = 64 * GIBIBYTE
LARGEST_RESULT = 16 * GIBIBYTE


def query(context: BlockingContext, params: QueryParams) -> QueryResult | ProfileResult:
    """The rows that the SQL under `context_key` selects from the file under `content_key`; without SQL, a profile.

    Raises Reject when the file can't be read or the SQL is not one SELECT over `content`, and OverLimit when the work
    needs more memory, disk or time than it may use.
    """
    began = time.monotonic()
    given = context.inputs["content_key"]
    context.progress(0.01, "Opening the file")
    path = given.path()
    source = recognise(path, given.filename, params)
    with Engine(context, path, params.max_seconds) as engine:
        sql = engine.parse(_sql(context))
        content = bind(engine, source, params)
        context.log(
            f"Reading {given.filename} as {source.format}, {len(content.columns)} column(s).",
            compression=source.compression,
            bytes=given.size,
        )
        told = _source(source, content, given.size)
        warnings = _doubts(source, content)
        if sql is None:
            profiled = profile.profile(engine, content.columns, params.preview_rows)
            warnings += profiled.warnings + _left_out(engine, params)
            return ProfileResult(
                source=told,
                columns=profiled.columns,
                row_count=profiled.row_count,
                preview=profiled.preview,
                elapsed_seconds=round(time.monotonic() - began, 3),
                warnings=warnings,
            )
        context.progress(0.1, "Running the query")
        columns = answer.columns_of(engine, sql)
        written, count = answer.write(engine, sql, columns)
        preview = answer.first_rows(engine, written, columns, params.preview_rows)
        warnings += _left_out(engine, params)
        result = answer.converted(engine, written, params.output)
    context.progress(0.9, f"Storing {count:,} row(s)")
    name = result.name
    size = result.stat().st_size
    key = context.write(name, result, answer.MEDIA_TYPES[params.output])
    context.log(f"The query answered {count:,} row(s) in {len(columns)} column(s).", bytes=size)
    return QueryResult(
        source=told,
        columns=columns,
        row_count=count,
        preview=preview,
        artifact=Artifact(name=name, key=key, size=size),
        elapsed_seconds=round(time.monotonic() - began, 3),
        warnings=warnings,
    )


def _sql(context: BlockingContext) -> str:
    asked = context.inputs.get("context_key")
    return "" if asked is None else statement.decode(asked.read(statement.LARGEST_SQL))


def _source(source: Recognised, content: Content, size: int) -> Source:
    return Source(
        format=source.format,
        compression=source.compression,
        encoding=source.encoding if source.format in ("csv", "tsv") else None,
        delimiter=content.delimiter,
        header=content.header,
        size=size,
    )


def _doubts(source: Recognised, content: Content) -> list[str]:
    doubts = []
    if source.is_guessed_encoding:
        doubts.append(
            "The file isn't encoded in UTF-8; it was read as Latin-1. Tell its encoding if letters look wrong."
        )
    if content.delimiter and len(content.columns) == 1 and any(sign in content.columns[0][0] for sign in ",;\t|"):
        doubts.append("Only one column was found. Tell the delimiter if there are more.")
    return doubts


def _left_out(engine: Engine, params: QueryParams) -> list[str]:
    return left_out(engine) if params.ignore_errors else []


QUERY = Processor(
    name="table.query",
    version="1",
    description="Runs SQL over a table (CSV, TSV, Parquet, JSON, NDJSON), or profiles its columns.",
    run=query,
    params=QueryParams,
    inputs={
        "content_key": InputRole(
            "The table: CSV, TSV, Parquet, JSON or NDJSON; all but Parquet also in gzip or zstd.",
            max_bytes=LARGEST_CONTENT,
        ),
        "context_key": InputRole(
            "One SELECT over the table `content`, in DuckDB's SQL. Without it every column is profiled.",
            required=False,
            max_bytes=statement.LARGEST_SQL,
        ),
    },
    outputs={
        f"result.{ending}": Output(f"The rows of the query as {ending}.", media_type)
        for ending, media_type in answer.MEDIA_TYPES.items()
    },
    queue="default",
    time_limit=timedelta(minutes=30),
    retry=RetryPolicy(again_after_limit=False),
    isolation="process",
    limits=ProcessLimits(
        memory_bytes=3 * GIBIBYTE,
        cpu_seconds=3600,
        file_bytes=LARGEST_RESULT,
        # What DuckDB spills, the result, and a copy of the content where objects are not files of this machine.
        scratch_bytes=SPILL_BYTES + LARGEST_RESULT + LARGEST_CONTENT,
        open_files=256,
    ),
    preload=("duckdb",),
)
