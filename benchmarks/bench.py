"""`make bench`: measure HelixNet and its floors in one run on one machine, and write one report."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import machine, report
from benchmarks.figures import Section
from benchmarks.ground import RABBITMQ, VALKEY, Broker, Ground, ground
from benchmarks.measure import claiming, cost, isolation, latency, listing, race, starting, submission, table, upload
from benchmarks.measure.options import SMOKE, Options
from benchmarks.processes import ROOT
from benchmarks.tuning import tune
from helixnet import log
from helixnet.config import Settings

RESULTS = ROOT / "benchmarks" / "results"
BROKERS = {"valkey": (VALKEY,), "rabbitmq": (RABBITMQ,), "both": (VALKEY, RABBITMQ)}

# Measured on Valkey, which is always there: the broker makes no difference to a web process that rings in a thread.
ON_VALKEY: dict[str, Callable[[Ground, Options, Broker], list[Section]]] = {
    "submission": submission.measure,
    "upload": upload.measure,
    "list": listing.measure,
    "claim": claiming.measure,
    "start": starting.measure,
    "cost": cost.measure,
    "isolation": isolation.measure,
    "table": table.measure,
}
PARTS = ("race", "latency", *ON_VALKEY)


def main(arguments: list[str]) -> int:
    """Measure what was asked for; 1 with `--check` when a target was missed or not measured."""
    asked = _parser().parse_args(arguments)
    options = _options(asked)
    signal.signal(signal.SIGTERM, _end)
    console = Console(stderr=True)
    log.configure(Settings(log_level="WARNING"))
    # A short path: a unix socket's address has no room for a long one.
    folder = Path(tempfile.mkdtemp(prefix="helix-bench-", dir="/tmp" if Path("/tmp").is_dir() else None))
    try:
        with ground(folder, rabbitmq=RABBITMQ in options.brokers) as servers:
            if asked.tune:
                tune(servers, options, console)
                return 0
            facts = machine.facts(servers)
            sections = _measure(servers, options, asked.only, console)
    finally:
        if asked.keep:
            console.print(f"Logs are in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    paths = report.write(asked.results, sections, facts, options.runs)
    console_width = None if sys.stdout.isatty() else report.WIDTH
    report.show(Console(width=console_width), sections, facts, options.runs)
    console.print("Written: " + ", ".join(str(path) for path in paths))
    return 0 if not asked.check or report.passed(sections) else 1


def _end(number: int, _frame: object) -> None:
    """Told to end: the servers and the contestants end with the program."""
    sys.exit(128 + number)


def _measure(servers: Ground, options: Options, parts: tuple[str, ...], console: Console) -> list[Section]:
    brokers = {name: servers.broker(name) for name in options.brokers}
    sections: list[Section] = []
    valkey = servers.broker(VALKEY)
    assert valkey is not None
    for part in parts:
        with _told(part, sections, console):
            if part == "race":
                sections += race.measure(servers, options, brokers)
            elif part == "latency":
                for name, broker in brokers.items():
                    sections += latency.measure(servers, options, broker) if broker else [latency.missing(name)]
            else:
                sections += ON_VALKEY[part](servers, options, valkey)
    return sections


@contextmanager
def _told(part: str, sections: list[Section], console: Console) -> Iterator[None]:
    """A part that breaks is told in the report, and the others go on."""
    start = time.monotonic()
    console.print(f"{part} …", style="dim")
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the figures of the other parts are worth having
        traceback.print_exc()
        sections.append(Section(part, f"{part}: failed", "This part broke off.", notes=[repr(error)], failed=True))
    console.print(f"{part}: {time.monotonic() - start:.0f} s", style="dim")


def _options(asked: argparse.Namespace) -> Options:
    if asked.smoke:
        return SMOKE
    return replace(Options(), runs=asked.runs, brokers=BROKERS[asked.broker], peers=not asked.no_peers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=_positive, default=5, help="How often everything is measured.")
    parser.add_argument("--broker", choices=BROKERS, default="both", help="For the race and the latency.")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"Some of: {', '.join(PARTS)}.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Where the report goes.")
    parser.add_argument("--no-peers", action="store_true", help="Leave the peers out of the race.")
    parser.add_argument("--check", action="store_true", help="Exit with 1 unless every target is met.")
    parser.add_argument("--keep", action="store_true", help="Keep the logs of all processes, and say where.")
    parser.add_argument("--tune", action="store_true", help="Try the floors with other settings, and report nothing.")
    parser.add_argument("--smoke", action="store_true", help="Everything tiny, once, to see that it works.")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least one run")
    return number


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in text.split(",") if name.strip()) or PARTS
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
