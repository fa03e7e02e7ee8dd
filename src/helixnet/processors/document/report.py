"""The steps of `document.report`: read, check, merge, render, and put into its form."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, NamedTuple

from helixnet.processors.base import InputRole, Output, ProcessLimits, Processor, Reject, RetryPolicy
from helixnet.processors.context import BlockingContext
from helixnet.processors.document import outline, pages, pdf
from helixnet.processors.document.findings import find
from helixnet.processors.document.parsing import Parsed, parse
from helixnet.processors.document.rendering import render
from helixnet.processors.document.results import (
    ContentRead,
    Counts,
    Finding,
    Language,
    Made,
    Report,
    ReportParams,
)
from helixnet.processors.document.validation import validate
from helixnet.processors.text.decoding import decode

MEBIBYTE = 1024 * 1024
LARGEST_CONTENT, LARGEST_OTHER = 16 * MEBIBYTE, MEBIBYTE
PREVIEW_CHARACTERS = 1024
LONGEST_TITLE = 200
MOST_NAMED = 10
FIXED_NAMES = ("content", "context", "meta", "findings")
"""Names that mean the same in every template, whatever the content and the context call theirs."""

_FORMS: dict[Language, tuple[str, str]] = {
    "markdown": ("report.md", "text/markdown; charset=utf-8"),
    "html": ("report.html", "text/html; charset=utf-8"),
    "text": ("report.txt", "text/plain; charset=utf-8"),
}
_HEADING = re.compile(r"^# +(.+?)\s*#*$", re.MULTILINE)


class _Template(NamedTuple):
    """A template's file name (None for the default report), its text, and what it writes."""

    name: str | None
    source: str
    writes: Language


def report(context: BlockingContext, params: ReportParams) -> Report:
    """Make a report of the content, with the context's values, after the template.

    Raises Reject for what can't be read, does not fit its schema, or is no template, and OverLimit for what would take
    too much.
    """
    if params.pdf:
        pdf.check_installed()
    context.progress(0.05, "Reading the files")
    content = _parse(context, "content_key", "content", LARGEST_CONTENT, params.content_format)
    values = _values(context)
    template = _template(context)
    output = _output(params, template)
    read = _about(context, content)
    context.log(_told(read), format=read.format, bytes=read.size)

    validated = "schema_key" in context.inputs
    if validated:
        context.progress(0.3, "Holding the content against the schema")
        validate(content.value, _parse(context, "schema_key", "schema", LARGEST_OTHER).value)
        context.log("The content fits the schema.")

    context.progress(0.5, "Rendering the report")
    findings = find(content.value)
    names, warnings = _merged(content, values, read, findings)
    if template.name is None:
        names |= {"values": outline.flat(values), "sections": outline.sections(content.value)}
    text = render(template.source, names, autoescape=template.writes == "html")
    if template.name is None:
        text = text.rstrip() + "\n"
    title = _title(text, names["meta"]["title"])
    context.progress(0.8, "Writing it")
    made = _write(context, text, title, template.writes, output, warnings, params)
    context.log(f"Wrote {', '.join(each.name for each in made)}.")
    context.progress(1.0, "Done")
    return Report(
        output=output,
        made=made,
        content=read,
        template=template.name,
        validated=validated,
        counts=Counts(characters=len(text), words=len(text.split()), lines=len(text.splitlines())),
        findings=findings,
        warnings=[*content.warnings, *warnings],
        preview=text[:PREVIEW_CHARACTERS],
    )


def _parse(context: BlockingContext, role: str, what: str, limit: int, wanted: Any = "auto") -> Parsed:
    given = context.inputs.get(role)
    if given is None:
        raise Reject(f"There is no {what} to read: the job has no {role}.")
    if given.size > limit:
        raise Reject(f"The {what} is too large: {given.size:,} bytes, of {limit // MEBIBYTE} MiB that are allowed.")
    return parse(given.read(limit), given.filename, what, wanted)


def _values(context: BlockingContext) -> dict[str, Any]:
    """The context's values by name; a file without any is as none."""
    given = context.inputs.get("context_key")
    if given is None or not given.size:
        return {}
    value = _parse(context, "context_key", "context", LARGEST_OTHER).value
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "a single value"
        raise Reject(f"The context is {kind}; it has to be values with names, as JSON or YAML: `title: Our sales`.")
    return value


def _template(context: BlockingContext) -> _Template:
    given = context.inputs.get("template_key")
    if given is None:
        return _Template(None, (files(__package__) / "default.md.j2").read_text(encoding="utf-8"), "markdown")
    if given.size > LARGEST_OTHER:
        raise Reject(f"The template is too large: {given.size:,} bytes, of 1 MiB that is allowed.")
    source = decode(given.read(LARGEST_OTHER), "template").text.removeprefix("\ufeff")
    name = given.filename.lower()
    for suffix in (".j2", ".jinja", ".jinja2"):
        name = name.removesuffix(suffix)
    writes: Language = "html" if name.endswith((".html", ".htm")) else "text" if name.endswith(".txt") else "markdown"
    return _Template(given.filename, source, writes)


def _output(params: ReportParams, template: _Template) -> Language:
    """What the report will be in; raises Reject for what can't be made of what the template writes."""
    output = template.writes if params.output == "auto" else params.output
    told = f"The template writes {'HTML' if template.writes == 'html' else 'plain text'}, as its name says"
    if params.pdf and template.writes != "markdown":
        raise Reject(f"{told}; a PDF is made of Markdown.")
    if template.writes == "html" and output != "html":
        raise Reject(f"{told}; ask for `html`, or for `auto`.")
    if template.writes == "text" and output == "html":
        raise Reject(f"{told}; HTML is made of Markdown, or written by a template called report.html.j2.")
    return output


def _about(context: BlockingContext, content: Parsed) -> ContentRead:
    given = context.inputs["content_key"]
    return ContentRead(
        filename=given.filename,
        format=content.format,
        size=given.size,
        encoding=content.encoding,
        records=len(content.value) if isinstance(content.value, list) else None,
    )


def _told(read: ContentRead) -> str:
    kind = "plain text" if read.format == "text" else read.format.upper()
    return f"Read {read.filename} as {kind}" + (f", {read.records:,} records." if read.records is not None else ".")


def _merged(
    content: Parsed, values: dict[str, Any], read: ContentRead, findings: list[Finding]
) -> tuple[dict[str, Any], list[str]]:
    """What the template sees: the content's entries, over them the context's, over all the fixed names."""
    entries = content.value if isinstance(content.value, dict) else {}
    warnings = []
    if hidden := [name for name in values if name in entries]:
        warnings.append(f"The context's {_listed(hidden)} stands before the content's; `content` has the other.")
    if fixed := [name for name in FIXED_NAMES if name in entries or name in values]:
        warnings.append(f"{_listed(fixed)} means what it means in every report; see `content` and `context`.")
    title = values.get("title") or entries.get("title") or read.filename
    meta = {
        "title": str(title)[:LONGEST_TITLE],
        "filename": read.filename,
        "format": read.format,
        "size": read.size,
        "records": read.records,
        "columns": content.columns,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    fixed_values = {
        "content": content.value,
        "context": values,
        "meta": meta,
        "findings": [finding.model_dump() for finding in findings],
    }
    return entries | values | fixed_values, warnings


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(f"`{name[:100]}`" for name in names[:MOST_NAMED]) + more


def _title(text: str, otherwise: str) -> str:
    heading = _HEADING.search(text[: 64 * 1024])
    return (heading[1] if heading else otherwise)[:LONGEST_TITLE]


def _write(
    context: BlockingContext,
    text: str,
    title: str,
    writes: Language,
    output: Language,
    warnings: list[str],
    params: ReportParams,
) -> list[Made]:
    """The artifacts, stored."""
    name, media_type = _FORMS[output]
    form = pages.to_page(text, title) if output == "html" and writes == "markdown" else text
    parts = [(name, media_type, form.encode())]
    if params.pdf:
        if pdf.undrawn(text):
            warnings.append("The PDF's fonts draw Latin, Greek and Cyrillic; other signs are shown as boxes.")
        folder = context.scratch / "typst"
        folder.mkdir()
        parts.append(("report.pdf", "application/pdf", pdf.to_pdf(text, title, folder)))
    for name, media_type, written in parts:
        context.write(name, written, media_type)
    return [Made(name=name, media_type=media_type, size=len(written)) for name, media_type, written in parts]


REPORT = Processor(
    name="document.report",
    version="1",
    description="Makes a report of data and values: checked against a schema, rendered by a template.",
    run=report,
    params=ReportParams,
    inputs={
        "content_key": InputRole(
            "What the report is about: JSON, YAML, CSV or text.",
            media_types=("text/*", "application/json", "application/yaml", "application/x-yaml", "application/toml"),
            max_bytes=LARGEST_CONTENT,
        ),
        "context_key": InputRole("Values by name, as JSON or YAML.", required=False, max_bytes=LARGEST_OTHER),
        "schema_key": InputRole(
            "A JSON Schema (as JSON or YAML) that the content has to fit.", required=False, max_bytes=LARGEST_OTHER
        ),
        "template_key": InputRole(
            "A Jinja template; it writes Markdown, or by its name HTML (.html.j2) or text (.txt.j2).",
            required=False,
            max_bytes=LARGEST_OTHER,
        ),
    },
    outputs={
        "report.md": Output("The report in Markdown.", _FORMS["markdown"][1]),
        "report.html": Output("The report as a page.", _FORMS["html"][1]),
        "report.txt": Output("The report as plain text.", _FORMS["text"][1]),
        "report.pdf": Output("The report as a PDF.", "application/pdf"),
    },
    queue="default",
    time_limit=timedelta(minutes=2),
    # The same files would need as much the next time.
    retry=RetryPolicy(again_after_limit=False),
    isolation="process",
    limits=ProcessLimits(memory_bytes=1024 * MEBIBYTE, cpu_seconds=30, file_bytes=64 * MEBIBYTE, open_files=64),
    preload=("jinja2.sandbox", "jsonschema_rs", "markdown_it", "yaml"),
)
