"""The command `helix`: one file for each group of commands.

What a command needs is imported when it runs: `helix --help` shall answer at once, and a worker has no use for the web.
"""

import sys

import typer
from pydantic import ValidationError

from helixnet.cli import db, doctor, health, objects, parts, processors, run, up, users
from helixnet.config import MissingSetting
from helixnet.errors import CannotStart, HelixError, violations

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="HelixNet.")
app.command("up")(up.up)
app.command("deploy")(up.deploy)
app.command("stop")(up.stop)
app.command("url")(up.url)
app.command("web")(parts.web)
app.command("worker")(parts.worker)
app.command("beat")(parts.beat)
app.command("run")(run.run)
app.command("doctor")(doctor.doctor)
app.command("flower")(parts.flower)
app.command("health")(health.health)
app.add_typer(db.app, name="db")
app.add_typer(objects.app, name="objects")
app.add_typer(processors.app, name="processors")
app.add_typer(users.app, name="users")


def main() -> None:
    """Run the command line; a problem that the user can mend is told in a line, without a trace."""
    try:
        app()
    except ValidationError as error:
        for found in violations(error.errors(include_url=False, include_input=False)):
            setting = f"HELIX_{found['path'].upper()}: " if found["path"] else ""
            print(f"helix: {setting}{found['message']}", file=sys.stderr)
        sys.exit(1)
    except (CannotStart, HelixError, MissingSetting, OSError) as error:
        print(f"helix: {error}", file=sys.stderr)
        sys.exit(1)
