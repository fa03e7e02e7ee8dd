"""The embedded stack: real servers from wheels, and the supervisor that keeps them and the parts of HelixNet."""

from helixnet.stack.options import Options
from helixnet.stack.up import up

__all__ = ["Options", "up"]
