"""`helix health`: whether a part of this machine or container should go on, or be started anew."""

import sys
from typing import Annotated, Literal

import typer

from helixnet.config import Settings

# Of the parts that answer over HTTP: the port unless another is named, and the path that says nothing but that.
ANSWERS = {"web": (8000, "/livez"), "flower": (5555, "/healthcheck")}


def health(
    part: Annotated[Literal["web", "worker", "beat", "flower"], typer.Argument(help="Which part.")],
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where web or Flower listens.")] = None,
) -> None:
    """Exit with 1 when the part that runs here does not do its work, and a new start may mend that."""
    well, said = _answers(part, port) if part in ANSWERS else _makes_progress(part)
    if not well:
        print(f"helix health: {said}", file=sys.stderr)
        raise typer.Exit(1)
    print(said)


def _answers(part: str, port: int | None) -> tuple[bool, str]:
    # This is asked every few seconds, so it takes no more than HTTP.
    from helixnet.stack.health import http_answers

    usual, path = ANSWERS[part]
    well = http_answers(port or usual, path)
    return well, f"{part} {'answers' if well else 'does not answer'}"


def _makes_progress(part: str) -> tuple[bool, str]:
    from helixnet.worker import liveness

    try:
        return True, liveness.check_worker(Settings()) if part == "worker" else liveness.check_beat(Settings())
    except liveness.NoProgress as problem:
        return False, str(problem)
