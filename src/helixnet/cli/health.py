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
    from helixnet.worker.liveness import NoProgress

    try:
        print(_ask(part, port))
    except NoProgress as problem:
        print(f"helix health: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None


def _ask(part: str, port: int | None) -> str:
    """A sentence of what is well with a part; raises NoProgress."""
    from helixnet.stack.health import http_answers
    from helixnet.worker import liveness

    if part == "worker":
        return liveness.check_worker(Settings())
    if part == "beat":
        return liveness.check_beat(Settings())
    usual, path = ANSWERS[part]
    if not http_answers(port or usual, path):
        raise liveness.NoProgress(f"{part} does not answer")
    return f"{part} answers"
