"""`helix run`: one job from files to a result, on this machine or on a HelixNet."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from helixnet.cli.shown import Shown
    from helixnet.local import LocalRun
    from helixnet.processors.base import Processor
    from helixnet.processors.registry import Registry

FAILED, REFUSED, INTERRUPTED = 1, 2, 130

ProcessorArgument = Annotated[str, typer.Argument(metavar="NAME", help="The processor's name, as text.analyze.")]
ParamsOption = Annotated[str, typer.Option(metavar="JSON|@FILE", help="The parameters: a JSON object, or @file.json.")]
OutOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where result.json and the artifacts go; it is made.")
]
LimitOption = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Another time limit than the processor's; for local runs."),
]


def run(
    name: ProcessorArgument,
    content: Annotated[Path | None, typer.Option(metavar="FILE", help="The file content_key.")] = None,
    context: Annotated[Path | None, typer.Option(metavar="FILE", help="The file context_key.")] = None,
    schema: Annotated[Path | None, typer.Option(metavar="FILE", help="The file schema_key.")] = None,
    template: Annotated[Path | None, typer.Option(metavar="FILE", help="The file template_key.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="ROLE=FILE", help="A file by its role; may be repeated.")
    ] = None,
    params: ParamsOption = "{}",
    out: OutOption = None,
    time_limit: LimitOption = None,
    url: Annotated[str, typer.Option(help="Run it on the HelixNet at this address, through HTTP.")] = "",
    token: Annotated[
        str, typer.Option(envvar="HELIX_TOKEN", show_envvar=True, help="With --url: an access token.")
    ] = "",
    email: Annotated[
        str,
        typer.Option(envvar="HELIX_EMAIL", show_envvar=True, help="With --url: sign in; HELIX_PASSWORD, or asked for."),
    ] = "",
) -> None:
    """Run a processor on files of this machine, without a server or through one, and print its result as JSON.

    Exits with 0 and a result, 1 when the job is FAILED, 2 when it is refused before it runs.
    """
    named = {"content_key": content, "context_key": context, "schema_key": schema, "template_key": template}
    files = {role: path for role, path in named.items() if path is not None} | by_role(inputs or [])
    given = parse(params)
    if url:
        from helixnet.cli import remote

        code = remote.run(url, remote.Account(token, email), name, files, given, out)
    else:
        code = run_locally(name, lambda _processor: files, given, out, time_limit)
    raise typer.Exit(code)


def by_role(words: list[str]) -> dict[str, Path]:
    """The files of `ROLE=FILE`."""
    files: dict[str, Path] = {}
    for word in words:
        role, sign, path = word.partition("=")
        if not (role and sign and path):
            raise typer.BadParameter(f"{word!r} is not ROLE=FILE", param_hint="--input")
        files[role] = Path(path)
    return files


def parse(params: str) -> dict[str, Any]:
    """The parameters: an object of JSON, given in words or by `@` and a file's name."""
    import orjson

    try:
        value = orjson.loads(Path(params[1:]).read_bytes() if params.startswith("@") else params)
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--params") from None
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="--params") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("not a JSON object", param_hint="--params")
    return value


def installed() -> "Registry":
    """The processors that a local run knows: those of the profile that HELIX_PROFILE names, as `helix up` has it.

    Without a word it is development: a run on one's own machine and files, which may use the drills.
    """
    from helixnet import log
    from helixnet.config import Settings
    from helixnet.processors import registry

    settings = Settings()
    log.configure(settings)
    return registry.load(development=settings.development or not os.environ.get("HELIX_PROFILE"))


def run_locally(
    name: str,
    files: "Callable[[Processor], Mapping[str, Path]]",
    params: dict[str, Any],
    out: Path | None,
    limit: float | None,
    *,
    declared: bool = False,
) -> int:
    """Run a processor on the files that it is to have; answers the exit code.

    How it goes is shown on standard error, its result on standard output. With `declared`, artifacts that the processor
    does not declare are told.
    """
    import contextlib
    import tempfile
    from datetime import timedelta

    from helixnet import local
    from helixnet.cli.shown import Shown
    from helixnet.errors import CannotStart, HelixError

    shown = Shown()

    def show(event: local.Event) -> None:
        match event:
            case local.Progress(fraction, message):
                shown.progress(fraction, message)
            case local.Line(message, fields):
                shown.log(message, fields)
            case local.Text(text):
                shown.text(text)

    folder = out or Path(tempfile.mkdtemp(prefix="helix-run-"))
    time_limit = None if limit is None else timedelta(seconds=limit)
    try:
        processor = installed().get(name)
        with contextlib.redirect_stdout(sys.stderr):  # what a processor prints is none of its result
            ended = local.run(processor, files(processor), params, out=folder, show=show, time_limit=time_limit)
    except HelixError as error:
        shown.refusal(error.message, error.fields)
        return REFUSED
    except CannotStart as error:
        shown.refusal(str(error), {})
        return REFUSED
    finally:
        _leave_nothing(folder, chosen=out is not None)
    code = _told(ended, processor, shown)
    for name in _undeclared(ended, processor) if declared else ():
        shown.line(f"note: the processor's `outputs` do not declare {name}.")
    if ended.left_running:
        _end(code)
    return code


def _undeclared(ended: "LocalRun", processor: "Processor") -> list[str]:
    from fnmatch import fnmatchcase

    return [name for name in ended.artifacts if not any(fnmatchcase(name, each) for each in processor.outputs)]


def _told(ended: "LocalRun", processor: "Processor", shown: "Shown") -> int:
    """Tell how it ended; answers the exit code."""
    from helixnet.cli.shown import as_text

    if ended.failure is None:
        for artifact in ended.artifacts.values():
            shown.line(f"   ⬇  {artifact.path}  {artifact.media_type}, {artifact.size:,} bytes")
        print(as_text(ended.result), flush=True)
        return 0
    kind = ended.failure.error["kind"]
    shown.failure(ended.failure.error, ended.failure.trace if kind == "bug" else "")
    if not ended.failure.final and (kind != "limit" or processor.retry.again_after_limit):
        shown.line(f"A worker would try it again: {processor.retry.max_attempts} times in all.")
    return FAILED


def _leave_nothing(folder: Path, *, chosen: bool) -> None:
    """A folder that nobody asked for stays only for artifacts."""
    if not chosen and {path.name for path in folder.iterdir()} <= {"result.json"}:
        (folder / "result.json").unlink(missing_ok=True)
        folder.rmdir()


def _end(code: int) -> NoReturn:
    """End at once: a thread of the processor goes on, and Python would wait for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
