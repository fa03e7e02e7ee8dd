"""`helix health`: a part's health check."""

from typing import Annotated, Literal

import typer

from helixnet.config import Settings

WEB_PORT, FLOWER_PORT = 8000, 5555


def health(
    part: Annotated[Literal["web", "worker", "beat", "flower"], typer.Argument(help="Which part.")],
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where web or Flower listens.")] = None,
) -> None:
    """Exit with 1 unless the part that runs on this host does its work."""
    from helixnet.stack import health

    if part == "web":
        lives = health.http_answers(port or WEB_PORT, "/livez")
    elif part == "flower":
        lives = health.http_answers(port or FLOWER_PORT, "/healthcheck")
    elif part == "worker":
        lives = health.worker_lives(Settings())
    else:
        lives = health.beat_lives(Settings())
    if not lives:
        print(f"{part} does not do its work")
        raise typer.Exit(1)
