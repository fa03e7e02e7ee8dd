"""`helix objects`: all stored objects at once, for backups."""

import asyncio
import sys

import typer

from helixnet.cli.up import HomeOption, settings_for

app = typer.Typer(no_args_is_help=True, help="Stored objects.")


@app.command("export")
def export(home: HomeOption = None) -> None:
    """Write all objects to the standard output, as a tar archive."""
    from helixnet.blobs import BlobStore, archive
    from helixnet.stack import attach

    async def run() -> int:
        async with attach.attached(settings_for(home)) as settings:
            return await archive.write(BlobStore(settings.require("storage_url")), sys.stdout.buffer)

    print(f"{asyncio.run(run())} objects", file=sys.stderr)


@app.command("import")
def import_objects(home: HomeOption = None) -> None:
    """Store the objects of an archive from the standard input, over those of the same names."""
    from helixnet.blobs import BlobStore, archive
    from helixnet.stack import attach

    async def run() -> int:
        async with attach.attached(settings_for(home)) as settings:
            return await archive.read(BlobStore(settings.require("storage_url")), sys.stdin.buffer)

    print(f"{asyncio.run(run())} objects", file=sys.stderr)
