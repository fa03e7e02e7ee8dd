"""The processor `embed.search`: where a text answers a question, by meaning and not by words."""

from helixnet.processors.embed.search import SEARCH

PROCESSORS = (SEARCH,)

__all__ = ["PROCESSORS", "SEARCH"]
