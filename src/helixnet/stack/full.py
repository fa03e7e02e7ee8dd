"""What `helix up --full` runs beside the rest: Traefik in front of it, Flower, and pgAdmin where it is installed."""

import asyncio
import sys
from collections.abc import Mapping

from helixnet import log
from helixnet.stack import pgadmin, ports, traefik
from helixnet.stack.health import http_answers
from helixnet.stack.home import Home, write_private
from helixnet.stack.options import Options
from helixnet.stack.ports import HOST
from helixnet.stack.supervisor import Program

USER = "helix"

logger = log.logger("helix.stack")


def tools(home: Home, environment: Mapping[str, str], options: Options, web_port: int) -> list[Program]:
    """The programs to run. How to sign in to them is written to `sign-in.txt` in the home, for its user alone."""
    behind = {"WEB_URL": f"http://{HOST}:{web_port}"}
    signs = [f"HelixNet  http://{HOST}:{options.http_port}"]
    found = []

    flower_port, password = ports.free_port(), home.secret("flower_password")
    found.append(flower_program(environment, flower_port, password))
    behind["FLOWER_URL"] = f"http://{HOST}:{flower_port}"
    signs.append(f"Flower    http://{HOST}:{options.flower_port}  {USER}  {password}")

    python = pgadmin.find(options.pgadmin)
    if python is None:
        logger.warning("pgAdmin is not installed (make pgadmin): it is left out")
    else:
        server = pgadmin.PgAdmin(python, home.path / "pgadmin", ports.free_port(), home.secret("pgadmin_password"))
        found.append(server.program(environment["HELIX_DATABASE_URL"], home.logs / "pgadmin.log"))
        behind["PGADMIN_URL"] = f"http://{HOST}:{server.port}"
        signs.append(f"pgAdmin   http://{HOST}:{options.pgadmin_port}  {pgadmin.EMAIL}  {server.password}")

    entry_points = {
        "web": options.http_port,
        "api": options.port,
        "flower": options.flower_port,
        "pgadmin": options.pgadmin_port,
        "internal": ports.free_port(),
    }
    found.append(traefik.program(entry_points, behind, home.logs / "traefik.log"))
    write_private(home.path / "sign-in.txt", "".join(f"{line}\n" for line in signs).encode())
    return found


def flower_program(environment: Mapping[str, str], port: int, password: str) -> Program:
    """Flower, behind a sign-in."""

    async def answers() -> bool:
        return await asyncio.to_thread(http_answers, port, "/healthcheck")

    command = [sys.executable, "-m", "helixnet", "flower", "--port", str(port)]
    return Program("flower", command, {**environment, "FLOWER_BASIC_AUTH": f"{USER}:{password}"}, answers, patience=2.0)
