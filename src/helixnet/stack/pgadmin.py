"""pgAdmin in server mode, from an environment of its own: it is large, and wants its libraries in certain versions."""

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from psycopg.conninfo import conninfo_to_dict

from helixnet.errors import CannotStart
from helixnet.stack import pgadmin_server
from helixnet.stack.health import http_answers
from helixnet.stack.home import write_private
from helixnet.stack.servers import ENVIRONMENT
from helixnet.stack.supervisor import Program

EMAIL = "admin@helix.net"
# Where `make pgadmin` puts it, seen from the source tree.
OWN_ENVIRONMENT = Path(__file__).parents[3] / ".venv-pgadmin" / "bin" / "python"
START_SECONDS = 180.0
WHERE = (
    "import importlib.util; found = importlib.util.find_spec('pgadmin4'); print(found.submodule_search_locations[0])"
)


@dataclass(frozen=True, slots=True)
class PgAdmin:
    """A pgAdmin with everything it keeps in one private folder, and the stack's database in its list."""

    python: Path
    folder: Path
    port: int
    password: str

    def program(self, database_url: str, output: Path) -> Program:
        """What to run; it makes its own database first, which takes some seconds the first time."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self.folder / "config.py", self._configuration.encode())
        write_private(self.folder / "servers.json", orjson.dumps(_servers(database_url)))
        command = [str(self.python), "-I", pgadmin_server.__file__, str(self.folder), str(self.port)]

        async def answers() -> bool:
            return await asyncio.to_thread(http_answers, self.port, "/misc/ping")

        return Program(
            "pgadmin",
            command,
            self._environment,
            answers,
            patience=4.0,
            output=output,
            start_seconds=START_SECONDS,
            is_awaited=False,
        )

    @property
    def _environment(self) -> Mapping[str, str]:
        return ENVIRONMENT | {
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "CONFIG_DISTRO_FILE_PATH": str(self.folder / "config.py"),
            "PGADMIN_SETUP_EMAIL": EMAIL,
            "PGADMIN_SETUP_PASSWORD": self.password,
        }

    @property
    def _configuration(self) -> str:
        settings = {
            "SERVER_MODE": True,
            "DATA_DIR": str(self.folder),
            "LOG_FILE": str(self.folder / "pgadmin.log"),
            "SQLITE_PATH": str(self.folder / "pgadmin.db"),
            "SESSION_DB_PATH": str(self.folder / "sessions"),
            "STORAGE_DIR": str(self.folder / "storage"),
            "AZURE_CREDENTIAL_CACHE_DIR": str(self.folder / "azure"),
            "KERBEROS_CCACHE_DIR": str(self.folder / "kerberos"),
            "UPGRADE_CHECK_ENABLED": False,
            "MASTER_PASSWORD_REQUIRED": False,
        }
        return "".join(f"{name} = {value!r}\n" for name, value in settings.items())


def find(python: Path | None) -> Path | None:
    """A Python that has pgAdmin: the one that is named, or the one of `make pgadmin`; None where there is none.

    Raises CannotStart when the named one has none.
    """
    candidate = python or OWN_ENVIRONMENT
    if candidate.exists():
        # Its own question, not an import: pgAdmin looks for its settings as it is imported.
        done = subprocess.run([str(candidate), "-I", "-c", WHERE], capture_output=True, check=False)  # noqa: S603
        if done.returncode == 0:
            return candidate
    if python is not None:
        raise CannotStart(f"{python} has no pgAdmin: make pgadmin")
    return None


def _servers(database_url: str) -> dict[str, object]:
    """pgAdmin's list of servers, with the one that libpq reaches by this address."""
    address = conninfo_to_dict(database_url)
    server = {
        "Name": "HelixNet",
        "Group": "Servers",
        "Host": address.get("host", ""),
        "Port": int(address.get("port", 5432) or 5432),
        "MaintenanceDB": address.get("dbname", ""),
        "Username": address.get("user", ""),
        "SSLMode": "prefer",
    }
    return {"Servers": {"1": server}}
