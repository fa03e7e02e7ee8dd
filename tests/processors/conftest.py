"""An isolation that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.processors.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()
