"""`helix doctor`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from helixnet.cli.up import HomeOption, settings_for
from helixnet.config import Settings

if TYPE_CHECKING:
    from pydantic import ValidationError

    from helixnet.doctor import Report

BROKEN = 2


def doctor(
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer JSON, for machines.")] = False,
    sample: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many rows, and how many objects, to look at.")
    ] = 200,
    url: Annotated[str, typer.Option(help="What users type, to examine the proxies before the web as well.")] = "",
    thorough: Annotated[bool, typer.Option("--thorough", help="Look at every row and every object.")] = False,
) -> None:
    """Check every setting and wire, and reconcile database, bucket and broker; exits with 1 or 2 (warnings, errors)."""
    from pydantic import ValidationError

    from helixnet.doctor import Options, examine

    try:
        settings = _settings(settings_for(home))
        report = asyncio.run(examine(settings, Options(sample, thorough, url)))
    except ValidationError as problem:
        report = _refused(problem)
    _print_json(report) if as_json else _print_text(report)
    raise typer.Exit(report.exit_code)


def _settings(given: Settings) -> Settings:
    """The given settings, or, when they name no database, those of the stack that runs on the home."""
    from helixnet.stack import programs
    from helixnet.stack.home import Home

    if given.database_url.get_secret_value():
        return given
    running = Home(given.home.expanduser().resolve()).read_state()
    return Settings.model_validate(programs.settings_in(running)) if running is not None else given


def _refused(problem: "ValidationError") -> "Report":
    """Settings that no process would start with."""
    from helixnet.doctor.findings import Report, error
    from helixnet.errors import violations

    return Report(
        [
            error(
                "settings.valid",
                f"HELIX_{found['path'].upper()}: {found['message']}" if found["path"] else found["message"],
                "Correct it: no process starts with it.",
            )
            for found in violations(problem.errors(include_url=False, include_input=False))
        ]
    )


def _print_json(report: "Report") -> None:
    import orjson

    print(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2, default=str).decode())


def _print_text(report: "Report") -> None:
    from helixnet.doctor import Level

    marks = {Level.OK: "ok", Level.NOTE: "note", Level.WARNING: "WARNING", Level.ERROR: "ERROR"}
    for finding in report.findings:
        print(f"{marks[finding.level]:<8} {finding.check:<28} {finding.message}")
        if finding.advice:
            print(f"{'':<37} → {finding.advice}")
    counts = {
        level: sum(finding.level is level for finding in report.findings) for level in (Level.ERROR, Level.WARNING)
    }
    sys.stdout.flush()
    print(f"\n{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings.")
