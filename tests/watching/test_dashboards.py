"""What Grafana is given: dashboards that ask for what there is, in words that Prometheus understands."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from helixnet.metrics.kinds import Metric
from tests.watching.conftest import OF_PROCESSES
from tests.watching.test_alerts import RULES, alerts, needs_promtool, promtool

ROOT = Path(__file__).parent.parent.parent
GRAFANA = ROOT / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
# A word of PromQL that may name a metric: not a label, a function, a keyword or within quotes.
NAME = re.compile(r"\b((?:helix|process)_[a-z_]+)\b")
# What other parts of the stack tell.
OF_OTHERS = re.compile(r"\b(up|ALERTS|rabbitmq_[a-z_]+|traefik_[a-z_]+)\b")


def dashboard(file: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(file.read_text())
    return parsed


def expressions(file: Path) -> list[str]:
    return [target["expr"] for panel in dashboard(file)["panels"] for target in panel["targets"]]


def names(expression: str) -> set[str]:
    """The metrics that an expression asks for, histograms by their own name."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(bare)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_a_dashboard_is_whole(file: Path) -> None:
    board = dashboard(file)
    panels = board["panels"]
    places = [panel["gridPos"] for panel in panels]

    assert board["uid"] == f"helix-{file.stem}"
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one in places:
        for other in places:
            apart = (
                one["x"] + one["w"] <= other["x"]
                or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"]
                or other["y"] + other["h"] <= one["y"]
            )
            assert one is other or apart, "panels lie over each other"
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert {target["datasource"]["uid"] for panel in panels for target in panel["targets"]} == {source["uid"]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_a_dashboard_asks_for_metrics_that_there_are(file: Path) -> None:
    asked = set().union(*map(names, expressions(file)))
    asked |= {name for variable in dashboard(file)["templating"]["list"] for name in names(variable["definition"])}

    assert asked
    assert asked <= Metric.all.keys() | OF_PROCESSES


def test_alerts_ask_for_metrics_that_there_are() -> None:
    for alert in alerts():
        asked = names(alert["expr"])
        assert asked or OF_OTHERS.search(alert["expr"])
        assert asked <= Metric.all.keys() | OF_PROCESSES, alert["alert"]


def test_every_metric_is_on_a_dashboard() -> None:
    shown = set().union(*(names(expression) for file in FILES for expression in expressions(file)))

    assert Metric.all.keys() - shown == set()


@needs_promtool
def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    plain = [
        re.sub(r"\$[a-z]+", ".*", expression.replace("$__rate_interval", "1m"))
        for file in FILES
        for expression in expressions(file)
    ]
    rules = tmp_path / "dashboards.yml"
    recorded = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(plain)]
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": recorded}]}))

    checked = promtool("check", "rules", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(plain)} rules found" in checked.stdout


def test_the_files_are_what_their_script_writes() -> None:
    script = ROOT / "scripts" / "dashboards.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr


def test_grafana_finds_the_dashboards_where_the_stack_puts_them() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "helix.yml").read_text())["providers"][0]

    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert {file.stem for file in FILES} == {"overview", "queues", "workers", "http", "storage"}
    assert len(RULES) == 4
