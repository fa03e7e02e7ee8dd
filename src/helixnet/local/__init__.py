"""A processor on files of this machine, without a server, by a worker's rules: for its author's tests and for examples.

from helixnet.local import run

ended = run(COUNT, {"content_key": Path("report.txt")}, {"shout": True}, out=Path("out"))
print(ended.result, ended.error, ended.artifacts)
"""

from helixnet.local.context import Artifact, Event, Line, Progress, Text
from helixnet.local.inputs import LocalInput
from helixnet.local.run import LocalRun, run

__all__ = ["Artifact", "Event", "Line", "LocalInput", "LocalRun", "Progress", "Text", "run"]
