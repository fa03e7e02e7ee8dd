"""The embedded RabbitMQ: the system's own program, with its data in the home and one port, on loopback.

The node listens to nobody but AMQP clients. It takes no part in Erlang's distribution (no port, no `epmd`), so it
disturbs no other RabbitMQ of the machine, and any number of them may run at once.
"""

import re
import secrets
import shutil
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson

from helixnet.errors import CannotStart
from helixnet.stack import ports
from helixnet.stack.home import write_private
from helixnet.stack.ports import HOST
from helixnet.stack.servers import ENVIRONMENT

USER = "helix"
NODE = "helix@localhost"
# Quorum queues without global QoS, `consumer_timeout`, and Erlang's `dist_listen` are all there from this version on.
OLDEST = (3, 10)
PROBE_SECONDS = 1
# A client's greeting (AMQP 0-9-1, section 4.2.2), and the type of the frame that a server answers with.
GREETING, METHOD_FRAME = b"AMQP\x00\x00\x09\x01", b"\x01"

PROGRAM = "rabbitmq-server"
# The script of this name that packages put on the path changes the user and its output; these are the real ones.
INSTALLED = "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"
NOT_ALONE = " ".join(
    (
        f"-sname {NODE}",
        "-dist_listen false",
        "-start_epmd false",
        # At its start the node looks for its own port, which it hasn't; without this it would ask the machine's epmd.
        "-erl_epmd_port 1",
    )
)


class MissingRabbitMQ(CannotStart):
    """There is no RabbitMQ on this machine that can be used."""

    def __init__(self, found: str = "") -> None:
        oldest = ".".join(map(str, OLDEST))
        because = f"RabbitMQ {found} is too old" if found else "RabbitMQ is not installed"
        super().__init__(
            f"{because}: install {oldest} or later (Debian and Ubuntu: apt install rabbitmq-server), "
            "or use --broker valkey"
        )


@dataclass(frozen=True, slots=True)
class RabbitMQ:
    """A RabbitMQ with everything that it keeps in one private folder.

    What `conf.d/*.conf` and `advanced.config` in that folder say counts too, and before our own settings.
    """

    folder: Path

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    last_signal: ClassVar[signal.Signals] = signal.SIGKILL

    @property
    def url(self) -> str:
        """The address for clients; the folder must be initialized."""
        address = self._address()
        return f"amqp://{USER}:{address['password']}@{HOST}:{address['port']}//"

    def initialize(self) -> None:
        """Make the folder and choose port and password, unless they are there; raises CannotStart.

        The port stays the same from start to start, unless somebody else has taken it meanwhile.
        """
        _program()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        address = self._address() or {"password": secrets.token_hex(24)}
        if not ports.is_free(address.get("port")):
            address["port"] = ports.free_port()
        write_private(self._address_file, orjson.dumps(address))
        write_private(self.folder / "rabbitmq.conf", _configuration(address).encode())
        write_private(self.folder / "enabled_plugins", b"[].\n")
        (self.folder / "conf.d").mkdir(mode=0o700, exist_ok=True)

    def command(self) -> list[str]:
        """What to run in the foreground, with `environment`, once `initialize` has been called."""
        return [str(_program())]

    @property
    def environment(self) -> Mapping[str, str]:
        """Every place where RabbitMQ reads or writes, and that the script becomes the server, not its parent."""
        folder = self.folder
        return ENVIRONMENT | {
            "LC_ALL": "C.UTF-8",  # else Erlang can't read a path that isn't ASCII
            "HOME": str(folder),  # of Erlang's cookie
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_SERVER_START_ARGS": NOT_ALONE,
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_LOGS": "-",
            "detached": "yes",
        }

    def answers(self) -> bool:
        """Whether the server answers a client's greeting; it does once it has read its data."""
        try:
            with socket.create_connection((HOST, self._address()["port"]), PROBE_SECONDS) as connection:
                connection.sendall(GREETING)
                return connection.recv(1) == METHOD_FRAME
        except (OSError, KeyError):
            return False

    @property
    def _address_file(self) -> Path:
        return self.folder / "address.json"

    def _address(self) -> dict[str, str | int]:
        try:
            address: dict[str, str | int] = orjson.loads(self._address_file.read_bytes())
        except FileNotFoundError:
            return {}
        return address


def _configuration(address: Mapping[str, str | int]) -> str:
    settings = {
        "listeners.tcp.local": f"{HOST}:{address['port']}",
        "default_user": USER,
        "default_pass": address["password"],
        "log.file": "false",
        "log.console": "true",
        "log.console.level": "warning",
    }
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def _program() -> Path:
    """The newest RabbitMQ of the machine; raises MissingRabbitMQ."""
    found = [path / PROGRAM for path in Path("/").glob(INSTALLED)]
    on_path = shutil.which(PROGRAM)
    if not found and on_path:
        found = [Path(on_path)]
    if not found or shutil.which("erl") is None:
        raise MissingRabbitMQ
    newest = max(found, key=_version)
    version = _version(newest)
    if version and version < OLDEST:
        raise MissingRabbitMQ(".".join(map(str, version)))
    return newest


def _version(program: Path) -> tuple[int, ...]:
    """The version that an installation's folder names, as (3, 10, 8); () when it names none."""
    match = re.search(r"rabbitmq_server-(\d+(?:\.\d+)*)", str(program.resolve()))
    return tuple(int(part) for part in match[1].split(".")) if match else ()
