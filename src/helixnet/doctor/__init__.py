"""The doctor: looks at every setting and wire, reconciles database, bucket and broker, and says what to do.

It only reads, but for one small object and one short-lived queue of its own, which it takes away again. Nothing in it
walks a whole bucket or a big table, unless it is asked to be thorough.
"""

from helixnet.doctor.examination import Options, examine
from helixnet.doctor.findings import Finding, Level, Report

__all__ = ["Finding", "Level", "Options", "Report", "examine"]
