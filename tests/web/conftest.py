"""A HelixNet with a third party's processors, which are installed as any package is: found by their entry point."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Stack

PLUGIN = Path(__file__).parent / "plugin"


@pytest.fixture(scope="session")
def acme(folder: Path) -> Iterator[Stack]:
    """One for all tests of this process that use `acme_tools`."""
    stack = Stack(folder / "acme", {"PYTHONPATH": str(PLUGIN), "HELIX_MAX_UPLOAD_BYTES": "3000000"})
    stack.start()
    yield stack
    assert stack.stop() == 0, stack.log
