"""Ports of this machine's loopback address."""

import secrets
import socket

from helixnet.errors import CannotStart

HOST = "127.0.0.1"
# Below the ports that kernels give to outgoing connections: one of those would be in the way at a later start.
PORTS = range(15_000, 30_000)
TRIES = 200
BACKLOG = 2048


class PortTaken(CannotStart):
    """Something listens on the port already."""


def is_free(port: str | int | None) -> bool:
    """Whether a server could listen there now."""
    if port is None:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(port)))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free now; raises CannotStart when there seems to be none."""
    for _ in range(TRIES):
        port = secrets.choice(PORTS)
        if is_free(port):
            return port
    raise CannotStart("there is no free port on this machine")


def bound(port: int) -> socket.socket:
    """A socket that has the port, and listens once `listen` is called; raises PortTaken."""
    taken = socket.socket()
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, port))
    except PermissionError as error:
        taken.close()
        raise PortTaken(f"port {port} of {HOST} is not for this user: choose another") from error
    except OSError as error:
        taken.close()
        raise PortTaken(f"port {port} of {HOST} is taken: end what uses it, or choose another") from error
    return taken
