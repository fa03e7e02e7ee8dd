"""The processor `document.report`: data and values, checked against a schema, rendered by a template."""

from helixnet.processors.document.report import REPORT

PROCESSORS = (REPORT,)

__all__ = ["PROCESSORS", "REPORT"]
