"""The embedded stack: real servers from wheels, and the supervisor that keeps them and the parts of HelixNet."""

from helixnet.stack.home import HomeInUse
from helixnet.stack.servers import MissingServers
from helixnet.stack.supervisor import StartFailed
from helixnet.stack.up import Options, PortTaken, up

__all__ = ["HomeInUse", "MissingServers", "Options", "PortTaken", "StartFailed", "up"]
