"""`helix alive`: for liveness probes, asked from beside the process."""

import sys
from collections.abc import Callable

import typer

from helixnet.config import Settings

app = typer.Typer(no_args_is_help=True, help="Liveness: whether a part makes progress.")


@app.command()
def worker() -> None:
    """Exit with 1 when work waits for the worker of this machine or container, and it claims none."""
    from helixnet.worker import liveness

    _tell(liveness.check_worker)


@app.command()
def beat() -> None:
    """Exit with 1 when beat's last round of housekeeping, noted in HELIX_PROGRESS_FILE, is too long ago."""
    from helixnet.worker import liveness

    _tell(liveness.check_beat)


def _tell(check: Callable[[Settings], str]) -> None:
    from helixnet.worker.liveness import NoProgress

    try:
        print(check(Settings()))
    except NoProgress as problem:
        print(f"helix alive: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
