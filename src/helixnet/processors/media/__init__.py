"""The processor `media.inspect`: what a file really is, whatever its name and its sender say."""

from helixnet.processors.media.inspect import INSPECT

PROCESSORS = (INSPECT,)

__all__ = ["INSPECT", "PROCESSORS"]
