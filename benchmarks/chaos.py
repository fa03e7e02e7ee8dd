"""`make chaos`: kill and freeze a running HelixNet at random under load, then check from outside what it promised.

It starts a whole stack in a folder of its own, submits a steady stream over HTTP from several clients, and harms only
processes below that stack. Afterwards every job that was answered 201 must have ended once and with the right result,
no object may belong to nobody, and no process may be left. The exit code is 1 on any violation, and 2 when the run
itself came to grief. The seed decides the faults and the stream; the timing of the machine decides the rest.
"""

import secrets
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import chaos_checks as checks
from benchmarks.chaos_checks import Violation
from benchmarks.chaos_faults import Chaos
from benchmarks.chaos_load import Load
from benchmarks.chaos_quiet import longest_standstill, wait_for_purge, wait_for_quiet
from benchmarks.chaos_report import Report
from benchmarks.chaos_stack import ChaosError, Stack

# Nobody brings jobs any more: where none has ended for so long, the rest never will.
PATIENCE_SECONDS = 120.0
HARMED, CAME_TO_GRIEF = 1, 2

console = Console(highlight=False)


class Broker(StrEnum):
    VALKEY = "valkey"
    RABBITMQ = "rabbitmq"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `rate` is in requests a second, of all clients together."""

    seconds: float
    broker: Broker
    seed: int
    clients: int
    rate: float
    json: Path | None


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long to do harm.")] = 60,
    broker: Annotated[Broker, typer.Option(help="Which broker the stack runs on.")] = Broker.VALKEY,
    seed: Annotated[int | None, typer.Option(help="What decides the faults; drawn when left out.")] = None,
    clients: Annotated[int, typer.Option(min=1, max=64, help="How many clients submit.")] = 4,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second, of all clients together.")] = 12,
    home: Annotated[Path | None, typer.Option(help="An empty folder for the stack; it is kept.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file, too.")] = None,
) -> None:
    """Harm a running HelixNet at random, and check what became of every job."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    options = Options(seconds, broker, secrets.randbelow(2**31) if seed is None else seed, clients, rate, json)
    folder = _folder(home)
    try:
        report = run(options, Stack(folder, str(broker)))
    except ChaosError as error:
        console.print(f"[red]no result: {error}[/red]\nkept for a look: {folder}", soft_wrap=True)
        raise typer.Exit(CAME_TO_GRIEF) from error
    report.show(console)
    if json is not None:
        report.write_json(json)
    if report.violations:
        report.write_json(folder / "report.json")
        console.print(f"kept for a look: {folder}", soft_wrap=True)
        raise typer.Exit(HARMED)
    if home is None:
        shutil.rmtree(folder)


def run(options: Options, stack: Stack) -> Report:
    """One run on a stack that isn't started yet; it is ended in any case."""
    console.print(
        f"[bold]chaos[/bold] for {options.seconds:g} s on {options.broker}, [bold]seed {options.seed}[/bold], "
        f"{options.clients} clients, {options.rate:g} requests a second"
    )
    console.print(f"the stack: {stack.folder}", soft_wrap=True)
    report = Report(str(options.broker), options.seed, options.seconds)
    try:
        stack.start()
        load = Load(stack.url, options.clients, options.rate, options.seed)
        _harm(options, stack, load, report)
        _check(stack, load, report)
        report.violations += _stop(stack)
        report.seen_processes = len(stack.seen)
    finally:
        stack.end()
    return report


def _harm(options: Options, stack: Stack, load: Load, report: Report) -> None:
    load.start()
    with (
        Chaos(stack, options.seed) as chaos,
        console.status("doing harm") as status,
    ):
        chaos.reign(
            options.seconds,
            lambda: status.update(f"{len(chaos.faults)} faults, {len(load.ledger.promises)} jobs accepted"),
        )
        report.faults = chaos.faults
    console.print(f"✔ {len(report.faults)} faults, {len(load.ledger.promises)} jobs accepted meanwhile")


def _check(stack: Stack, load: Load, report: Report) -> None:
    """Wait for rest, and hold what is found against the promises."""
    healed_from = time.monotonic()
    load.stop()
    ledger = load.ledger
    _tell(not ledger.refused, f"every client is served; {len(ledger.refused)} right requests were refused")
    quiet = wait_for_quiet(stack, healed_from, PATIENCE_SECONDS)
    _tell(not quiet.left, f"{quiet.left} jobs are unfinished after {quiet.seconds:.1f} s")
    purge = wait_for_purge(stack)
    _tell(not purge.left, f"{purge.left} of {purge.announced} prefixes still to be purged after {purge.seconds:.1f} s")
    report.requests, report.longest_answer = ledger.requests, ledger.longest_answer
    report.recovery, report.longest_standstill = quiet.seconds, longest_standstill(stack)
    report.purge, report.purged_prefixes = purge.seconds, purge.announced - purge.left
    report.violations += [Violation("refused", words) for words in ledger.refused]
    if purge.left:
        report.violations.append(Violation("not purged", f"{purge.left} prefixes after {purge.seconds:.0f} s"))
    with stack.connect() as connection:
        rows = checks.jobs(connection)
        report.count_jobs(rows, ledger.promises)
        report.violations += checks.check_promises(rows, ledger.promises, stack.objects)
        report.violations += checks.check_histories(connection, rows)
        report.violations += checks.check_batches(connection)
        report.violations += checks.check_objects(connection, stack.objects)


def _stop(stack: Stack) -> list[Violation]:
    """End the stack in good order; whatever it leaves is a violation."""
    code = stack.stop()
    ended = [] if code == 0 else [Violation("bad end", f"the stack's exit code is {code}")]
    return ended + [Violation("leftover process", words) for words in stack.leftovers()]


def _tell(is_well: bool, words: str) -> None:
    console.print(f"{'[green]✔[/green]' if is_well else '[red]✘[/red]'} {words}")


def _folder(home: Path | None) -> Path:
    if home is None:
        return Path(tempfile.mkdtemp(prefix="helix-chaos-"))
    home = home.expanduser().resolve()
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise typer.BadParameter(f"{home} is not empty", param_hint="--home")
    return home


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    """A termination goes the way of Ctrl-C: everybody is woken up, and the stack is ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.argv[0] = "chaos"
    typer.run(main)
