"""The processor `text.analyze`: what a text is, what it says, and where it answers what its reader wants to know."""

from helixnet.processors.text.analyze import ANALYZE

PROCESSORS = (ANALYZE,)

__all__ = ["ANALYZE", "PROCESSORS"]
