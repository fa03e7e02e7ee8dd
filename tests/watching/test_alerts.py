"""What Prometheus is given: its own tool accepts it, its alerts fire when they should, and each has a runbook."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian has it in the package prometheus)"
)


def promtool(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=240, check=False)


def alerts() -> list[dict[str, Any]]:
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


@needs_promtool
def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    checked = promtool("check", "config", PROMETHEUS / "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rule files found" in checked.stdout


@needs_promtool
def test_promtool_refuses_what_is_wrong(tmp_path: Path) -> None:
    """The checks above and below can fail."""
    wrong = tmp_path / "rules.yml"
    wrong.write_text(RULES[0].read_text().replace("sum by (", "sum buy ("))

    assert promtool("check", "rules", wrong).returncode != 0


@needs_promtool
@pytest.mark.parametrize("rules", RULES, ids=lambda rules: str(rules.stem))
def test_alerts_fire_when_they_should(rules: Path) -> None:
    tested = promtool("test", "rules", PROMETHEUS / "tests" / rules.name)

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_every_alert_is_tested_and_has_a_runbook(alert: dict[str, Any]) -> None:
    page = ROOT / alert["annotations"]["runbook_url"]
    text = page.read_text()
    tests = "".join(file.read_text() for file in (PROMETHEUS / "tests").glob("*.yml"))

    assert page.parent == RUNBOOKS
    assert f"`{alert['alert']}`" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## What it means",
        "## Look here",
        "## Do this",
    ]
    assert f"]({page.name})" in (RUNBOOKS / "README.md").read_text()
    assert alert["alert"] in tests, "no unit test names it"
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}


def test_every_runbook_belongs_to_an_alert() -> None:
    wanted = {Path(alert["annotations"]["runbook_url"]).name for alert in alerts()}

    assert {page.name for page in RUNBOOKS.glob("*.md")} - {"README.md"} == wanted
