"""The examples' page keeps its word: each `helix run` on it is run as it stands there."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import weblog  # noqa: F401 - a fixture
from tests.processors.llm_stand_in import KEY, stand_in
from tests.stack.conftest import helix

EXAMPLES = Path(__file__).parent.parent / "examples"
COMMANDS = re.findall(r"`helix (run [^`]+)`", (EXAMPLES / "README.md").read_text())


def test_the_page_has_commands() -> None:
    assert any(command.startswith("run text.analyze ") for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[1])
def test_a_command_of_the_examples_page_works(
    command: str,
    weblog: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(EXAMPLES.parent)
    model = {"HELIX_LLM_MODEL": "small", "HELIX_LLM_API_KEY": KEY}
    words = [word.replace("/tmp/", f"{tmp_path}/") for word in shlex.split(command)]

    with stand_in() as server:
        done = helix(*words, PYTHONPATH=str(weblog), TMPDIR=str(tmp_path), HELIX_LLM_BASE_URL=server.url, **model)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
