"""Traefik with the settings and the routes of the compose stack, at addresses of this machine."""

import asyncio
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from helixnet.errors import CannotStart
from helixnet.stack.health import http_answers
from helixnet.stack.ports import HOST
from helixnet.stack.servers import ENVIRONMENT
from helixnet.stack.supervisor import Program
from helixnet.stack.tools import tool

# In the wheel beside this file; in the source tree where the compose file has them.
FOLDERS = (Path(__file__).parent / "routes", Path(__file__).parents[3] / "deploy" / "traefik")


def folder() -> Path:
    """Where the settings and routes are; raises CannotStart."""
    for found in FOLDERS:
        if (found / "traefik.toml").exists():
            return found
    raise CannotStart("the routes of Traefik are not here: install HelixNet anew")


def program(entry_points: Mapping[str, int], servers: Mapping[str, str], output: Path) -> Program:
    """Traefik, listening on these ports (of `web`, `api`, `flower`, `pgadmin`, `redirect`, `internal`).

    Entry points that have none here are left out. `servers` are the variables that the routes ask for, with addresses.
    """
    table = tomllib.loads((folder() / "traefik.toml").read_text())
    table["entryPoints"] = {name: table["entryPoints"][name] for name in entry_points}
    settings = dict(_flat(table))
    settings["providers.file.directory"] = str(folder() / "dynamic")
    settings |= {f"entryPoints.{name}.address": f"{HOST}:{port}" for name, port in entry_points.items()}
    command = [str(tool("traefik", "full")), *(f"--{name}={value}" for name, value in settings.items())]

    async def answers() -> bool:
        return await asyncio.to_thread(http_answers, entry_points["internal"], "/ping")

    return Program("traefik", command, ENVIRONMENT | dict(servers), answers, patience=4.0, output=output)


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The settings of a TOML table as Traefik's command line has them."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            yield before + name, ",".join(map(str, value))
        else:
            yield before + name, str(value).lower() if isinstance(value, bool) else str(value)
