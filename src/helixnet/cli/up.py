"""`helix up`, and the commands that speak to a stack that is up."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from helixnet.config import Settings

STOP_SECONDS = 60

HomeOption = Annotated[Path | None, typer.Option("--home", help="The folder of the embedded stack.")]


def up(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 8000,
    broker: Annotated[
        Literal["valkey", "rabbitmq"] | None,
        typer.Option(help="The broker; RabbitMQ must be installed on this machine. Valkey, unless --full."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="How many worker processes.")] = 2,
    reload: Annotated[bool, typer.Option("--reload", help="Restart the web when the code changes.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With Traefik, Flower, SeaweedFS, pgAdmin and RabbitMQ, where installed.")
    ] = False,
    http_port: Annotated[int, typer.Option(min=1, max=65535, help="With --full: Traefik's port.")] = 8080,
    flower_port: Annotated[int, typer.Option(min=1, max=65535, help="With --full: Flower's port.")] = 5555,
    pgadmin_port: Annotated[int, typer.Option(min=1, max=65535, help="With --full: pgAdmin's port.")] = 5050,
    pgadmin: Annotated[Path | None, typer.Option(help="With --full: a Python that has pgAdmin.")] = None,
) -> None:
    """Run everything on this machine: PostgreSQL, Valkey or RabbitMQ beside it, web, worker and beat."""
    from helixnet import log, stack

    settings = settings_for(home)
    log.configure(settings)
    stack.up(
        settings, stack.Options(port, workers, reload, broker, full, http_port, flower_port, pgadmin_port, pgadmin)
    )


def deploy(home: HomeOption = None) -> None:
    """Give web, worker and beat of the running stack the code as it is now: no request is refused, no job lost."""
    from helixnet.stack import control
    from helixnet.stack.home import Home

    print(control.ask(Home.make(settings_for(home).home), "deploy"))


def stop(home: HomeOption = None) -> None:
    """Stop the stack that runs on a home, and wait until it is gone."""
    from helixnet.stack import control
    from helixnet.stack.home import Home

    place = Home.make(settings_for(home).home)
    control.ask(place, "stop")
    place.wait_until_free(STOP_SECONDS)
    print("It has stopped.")


def url(home: HomeOption = None) -> None:
    """Print where the stack that runs on a home serves."""
    from helixnet.stack.control import NotRunning
    from helixnet.stack.home import Home

    place = Home.make(settings_for(home).home)
    address = place.url()
    if address is None:
        raise NotRunning(f"no HelixNet runs on {place.path}")
    print(address)


def settings_for(home: Path | None) -> Settings:
    """The settings, with the home that the command line names."""
    return Settings(home=home) if home else Settings()
