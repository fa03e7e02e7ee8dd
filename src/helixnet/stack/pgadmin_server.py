"""pgAdmin's server, as a program of the environment that has pgAdmin: it knows nothing of HelixNet's own libraries.

    python pgadmin_server.py FOLDER PORT

FOLDER has servers.json, and the settings are where CONFIG_DISTRO_FILE_PATH says. The first time, it makes the account
of PGADMIN_SETUP_EMAIL and gives it the list of servers.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

SETUP_SECONDS = 120


def main(folder: Path, port: str) -> None:
    found = importlib.util.find_spec("pgadmin4")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("pgAdmin is not installed here")
    package = found.submodule_search_locations[0]
    # The list is loaded anew at each start: the database's address may have changed.
    servers = ["load-servers", str(folder / "servers.json"), "--user", os.environ["PGADMIN_SETUP_EMAIL"], "--replace"]
    for words in (["setup-db"], servers):
        command = [sys.executable, "setup.py", *words]
        subprocess.run(command, cwd=package, check=True, timeout=SETUP_SECONDS)  # noqa: S603 - our own words
    serve = ["--chdir", package, "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8", "pgAdmin4:app"]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *serve])  # noqa: S606


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
