"""The processor `table.query`: SQL over a file of rows and columns, or a profile of every column."""

from helixnet.processors.table.query import QUERY

PROCESSORS = (QUERY,)

__all__ = ["PROCESSORS", "QUERY"]
