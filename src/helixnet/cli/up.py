"""`helix up`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from helixnet.config import Settings

HomeOption = Annotated[Path | None, typer.Option("--home", help="The folder of the embedded stack.")]


def up(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The web's port on 127.0.0.1.")] = 8000,
    broker: Annotated[
        Literal["valkey", "rabbitmq"], typer.Option(help="The broker; RabbitMQ must be installed on this machine.")
    ] = "valkey",
    workers: Annotated[int, typer.Option(min=1, max=256, help="How many worker processes.")] = 2,
    reload: Annotated[bool, typer.Option("--reload", help="Restart the web when the code changes.")] = False,
) -> None:
    """Run everything on this machine: PostgreSQL, Valkey or RabbitMQ beside it, web, worker and beat."""
    from helixnet import log, stack

    settings = settings_for(home)
    log.configure(settings)
    stack.up(settings, stack.Options(port, workers, reload, broker))


def settings_for(home: Path | None) -> Settings:
    """The settings, with the home that the command line names."""
    return Settings(home=home) if home else Settings()
