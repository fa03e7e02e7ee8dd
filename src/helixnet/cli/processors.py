"""`helix processors`: what is installed, a package for a new one, and a try of one on local files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helixnet.cli.run import LimitOption, OutOption, ParamsOption, ProcessorArgument, installed, parse, run_locally

if TYPE_CHECKING:
    from helixnet.processors.base import Processor

# Of a table that is read by another program; a terminal has a width of its own.
PIPED_WIDTH = 160

app = typer.Typer(no_args_is_help=True, help="Processors: list them, write one, try one.")


@app.command("list")
def list_processors(
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer JSON: all that is declared, with the parameters' JSON Schema.")
    ] = False,
) -> None:
    """List the processors that are installed in this environment."""
    from helixnet.cli.shown import as_text
    from helixnet.processors.schemas import view

    found = installed()
    if as_json:
        print(as_text([view(processor).model_dump(mode="json") for processor in found]))
    else:
        _print_table(list(found))


def _print_table(processors: "list[Processor]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    table = Table("NAME", "VERSION", "INPUTS", "ISOLATION", "DESCRIPTION", box=None, pad_edge=False)
    for each in processors:
        inputs = "\n".join(role if about.required else f"[{role}]" for role, about in each.inputs.items())
        table.add_row(*map(Text, (each.name, each.version, inputs or "–", each.isolation, each.description)))
    console.print(table)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The processor's name: a group and a name, acme.count.")],
    folder: Annotated[
        Path, typer.Option("--in", metavar="FOLDER", help="Where the package's folder is made.")
    ] = Path(),
) -> None:
    """Write a package with a processor, its entry point, a test and a sample; nothing is overwritten."""
    from helixnet.cli.new_package import NewPackage

    package = NewPackage.named(name)
    for path in package.write(folder):
        print(path)
    print(
        f"\nNow, in the environment of HelixNet:\n\n"
        f"  cd {folder / package.distribution}\n"
        "  pip install -e .\n"
        f"  helix processors test {name} examples/sample.txt\n"
        "  python -m pytest"
    )


@app.command("test")
def try_one(
    name: ProcessorArgument,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ROLE=]FILE...", help="Its files, in the order in which it declares them, or by role."),
    ] = None,
    params: ParamsOption = "{}",
    out: OutOption = None,
    time_limit: LimitOption = None,
) -> None:
    """Try a processor on local files, without a server: prints its result and its artifacts.

    Exits with 0 and a result, 1 when the job would be FAILED, 2 when it would be refused.
    """
    words = files or []
    raise typer.Exit(
        run_locally(name, lambda processor: assigned(processor, words), parse(params), out, time_limit, declared=True)
    )


def assigned(processor: "Processor", words: list[str]) -> dict[str, Path]:
    """The files by role: those that name one, then the others in the order of the declaration. Raises Invalid."""
    from helixnet.errors import Invalid

    files: dict[str, Path] = {}
    others = []
    for word in words:
        role, sign, path = word.partition("=")
        if not (sign and role in processor.inputs):
            others.append(Path(word))
        elif role in files:
            raise Invalid(f"{role} is given twice.")
        else:
            files[role] = Path(path)
    free = [role for role in processor.inputs if role not in files]
    if len(others) > len(free):
        takes = ", ".join(processor.inputs) or "no files"
        raise Invalid(f"These are {len(words)} files; {processor.name} takes {takes}.")
    return files | dict(zip(free, others, strict=False))
