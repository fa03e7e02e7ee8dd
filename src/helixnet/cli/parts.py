"""`helix web`, `helix worker`, `helix beat`: one part each, with its settings from the environment."""

from typing import Annotated

import typer

from helixnet import log
from helixnet.config import Settings

# What is still being answered when the web is told to end gets this long; streams of live updates end then too.
GRACE_SECONDS = 3


def web(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    processes: Annotated[int, typer.Option(min=1, max=64, help="How many processes.")] = 1,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when the code changes; with one process.")] = False,
) -> None:
    """Serve the API and the dashboard."""
    from pathlib import Path

    import uvicorn

    import helixnet
    from helixnet import metrics

    settings = Settings().require("database_url", "broker_url", "storage_url", "secret_key")
    log.configure(settings)
    if reload and processes > 1:
        raise typer.BadParameter("--reload goes with one process")
    metrics.serve_or_say(settings)
    uvicorn.run(
        "helixnet.web.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=processes,
        reload=reload,
        reload_dirs=[str(Path(helixnet.__file__).parent)] if reload else None,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def worker(
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="How many processes.")] = 2,
) -> None:
    """Run jobs from the queues of HELIX_QUEUES."""
    from helixnet.worker.app import run_worker

    run_worker(Settings(), concurrency)


def beat() -> None:
    """Do the housekeeping: sweep, reap, purge. Any number may run; one at a time works."""
    from helixnet.worker.app import run_beat

    run_beat(Settings())
