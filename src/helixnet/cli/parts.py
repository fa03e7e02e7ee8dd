"""`helix web`, `helix worker`, `helix beat`, `helix flower`: one part each, with its settings from the environment."""

from typing import Annotated

import typer

from helixnet import log
from helixnet.config import Settings


def web(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    processes: Annotated[int, typer.Option(min=1, max=64, help="How many processes.")] = 1,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="First bring the database and the bucket to what the code expects.")
    ] = False,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when the code changes; with one process.")] = False,
    fd: Annotated[int | None, typer.Option(hidden=True, help="A listening socket to take instead.")] = None,
    ready_fd: Annotated[int | None, typer.Option(hidden=True, help="A pipe to tell when requests are taken.")] = None,
) -> None:
    """Serve the API and the dashboard. SIGQUIT lets it retire: it answers what it is asked, and refuses nothing."""
    from helixnet import metrics

    settings = Settings().require("database_url", "broker_url", "storage_url", "secret_key")
    log.configure(settings)
    if reload and processes > 1:
        raise typer.BadParameter("--reload goes with one process")
    if prepare:
        import asyncio

        from helixnet.stack.prepare import prepare as make_ready

        asyncio.run(make_ready(settings))
    metrics.serve_or_say(settings)
    if reload or processes > 1:
        _serve_by_several(host, port, processes, reload=reload)
        return
    from helixnet.web.serve import serve

    serve(host, port, fd, ready_fd)


def _serve_by_several(host: str, port: int, processes: int, *, reload: bool) -> None:
    """One process that looks after others: several that serve, or one that starts anew when the code changes."""
    from pathlib import Path

    import uvicorn

    import helixnet
    from helixnet.web.serve import GRACE_SECONDS, KEEP_ALIVE_SECONDS

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
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
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


def flower(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 5555,
) -> None:
    """Show the workers and the rings in Flower, to whom FLOWER_BASIC_AUTH names (user:password)."""
    from helixnet.worker.flower import run_flower

    run_flower(Settings(), host, port)
