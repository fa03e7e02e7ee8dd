"""The documentation says what the code has: no setting, command, route, event or processor without a line."""

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from typer.main import get_command

from helixnet.cli import app as cli
from helixnet.config import Settings
from helixnet.jobs.states import TRANSITIONS, Status
from helixnet.processors import registry
from helixnet.processors.llm.settings import LlmSettings
from helixnet.web.api import auth, batches, failures, health, jobs, processors, queues, selections, usage

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


SETTINGS = [*Settings.model_fields, *(f"llm_{name}" for name in LlmSettings.model_fields)]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `HELIX_{name.upper()}` |" in (REFERENCE / "settings.md").read_text()


def test_no_setting_is_documented_that_is_gone() -> None:
    written = re.findall(r"`HELIX_([A-Z_]+)`", (REFERENCE / "settings.md").read_text())

    assert {name.lower() for name in written} <= set(SETTINGS)


def commands(group: object, before: str = "helix") -> list[str]:
    found = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        words = f"{before} {name}"
        found += commands(command, words) if hasattr(command, "commands") else [words]
    return found


@pytest.mark.parametrize("command", commands(get_command(cli)))
def test_every_command_is_documented(command: str) -> None:
    assert f"| `{command}` |" in (REFERENCE / "commands.md").read_text()


@pytest.mark.parametrize("processor", [processor.name for processor in registry.load(development=True)])
def test_every_processor_is_documented(processor: str) -> None:
    assert f"| `{processor}` |" in (REFERENCE / "processors.md").read_text()


def test_every_route_is_documented() -> None:
    text = (REFERENCE / "api.md").read_text()
    routes = [
        (route, "/api/v1")
        for router in (
            auth.router,
            jobs.busy,
            jobs.router,
            selections.router,
            batches.submission,
            batches.router,
            failures.router,
            processors.router,
            queues.router,
            usage.router,
        )
        for route in router.routes
    ]
    routes += [(route, "") for route in health.router.routes]

    assert len(routes) > 10
    for route, prefix in routes:
        assert isinstance(route, APIRoute)
        assert route.methods is not None
        (method,) = route.methods
        assert f"`{method} {prefix}{route.path}`" in text


def test_every_kind_of_event_is_documented() -> None:
    text = (REFERENCE / "events.md").read_text()

    assert [
        kind for kind in [*Status, "PROGRESS", "LOG", "OUTPUT", "CANCEL_REQUESTED"] if f"| `{kind}` |" not in text
    ] == []


def test_the_drawing_of_the_states_is_the_machine() -> None:
    text = (ROOT / "docs" / "explanation" / "states.md").read_text()
    drawn = {
        (Status(one), Status(other)) for one, other in re.findall(r"^ +([A-Z_]+) --> ([A-Z_]+):", text, re.MULTILINE)
    }

    assert drawn == {(one, other) for one, others in TRANSITIONS.items() for other in others}


def test_every_link_between_the_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text())
        if not (document.parent / target).exists()
    ]

    assert broken == []
