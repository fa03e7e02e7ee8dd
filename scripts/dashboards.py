"""Write deploy/grafana/dashboards/*.json from what is said here; with `--check`, exit with 1 when they say otherwise.

Beats that run side by side all tell the same of the ledger: `max` takes them for one. Counters are summed.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "deploy" / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24


@dataclass(frozen=True)
class Panel:
    """A drawing: each of `lines` is an expression and its legend. `unit` is Grafana's name of it."""

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    about: str = ""
    stacked: bool = False

    @property
    def height(self) -> int:
        return 4 if self.kind == "stat" else 8


def one(title: str, expr: str, unit: str = "short", about: str = "") -> Panel:
    """A single number."""
    return Panel(title, ((expr, ""),), unit, "stat", 4, about)


def many(title: str, expr: str, legend: str, unit: str = "short", **more: Any) -> Panel:
    return Panel(title, ((expr, legend),), unit, **more)


def quantiles(title: str, metric: str, by: str = "", where: str = "", unit: str = "s", **more: Any) -> Panel:
    """The median, and what one in twenty and one in a hundred exceed."""
    labels = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return Panel(
        title,
        tuple(
            (
                f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{where}[$__rate_interval])))",
                f"{legend}{name}",
            )
            for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
        ),
        unit,
        **more,
    )


def rate(metric: str, by: str, where: str = "") -> str:
    total = f"rate({metric}{where}[$__rate_interval])"
    return f"sum by ({by}) ({total})" if by else f"sum({total})"


def part(metric: str, where: str, of: str = "") -> str:
    """How large a part the one is of the other; 0 where the one has never been."""
    return f"({rate(metric, '', where)} or vector(0)) / {rate(metric, '', of)}"


QUEUE = '{queue=~"$queue"}'

DASHBOARDS: dict[str, tuple[str, dict[str, str], tuple[Panel, ...]]] = {
    "overview": (
        "Overview",
        {},
        (
            one(
                "Jobs ended per second", rate("helix_job_attempts_total", "", '{outcome=~"completed|failed|cancelled"}')
            ),
            one(
                "Failed",
                part("helix_job_attempts_total", '{outcome="failed"}', '{outcome=~"completed|failed"}'),
                "percentunit",
            ),
            one("Waiting", "sum(max by (queue) (helix_queue_waiting_jobs))", about="Each queue is counted to 10,000."),
            one("Oldest wait", "max(helix_queue_oldest_waiting_seconds)", "s"),
            one("Worker processes", "sum(helix_worker_processes)"),
            one("Beat's last round", "time() - max(helix_beat_last_round_timestamp_seconds)", "s"),
            one("Requests per second", rate("helix_http_requests_total", "")),
            one("Server errors", part("helix_http_requests_total", '{code=~"5.."}'), "percentunit"),
            one(
                "Requests, p95",
                "histogram_quantile(0.95,"
                " sum by (le) (rate(helix_http_request_duration_seconds_bucket[$__rate_interval])))",
                "s",
            ),
            one("Storage errors per second", rate("helix_storage_operations_total", "", '{outcome="error"}')),
            one("Database", "max(helix_database_size_bytes)", "bytes"),
            one("Alerts", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
            many(
                "Attempts by outcome", rate("helix_job_attempts_total", "outcome"), "{{outcome}}", "ops", stacked=True
            ),
            many("Jobs by state", "max by (status) (helix_jobs)", "{{status}}", about="Ended ones are an estimate."),
            many("Waiting by queue", "max by (queue) (helix_queue_waiting_jobs)", "{{queue}}"),
            many("Oldest wait by queue", "max by (queue) (helix_queue_oldest_waiting_seconds)", "{{queue}}", "s"),
            quantiles("Housekeeping, by step", "helix_beat_step_duration_seconds", "step"),
            many("Housekeeping put off", rate("helix_beat_step_failures_total", "step"), "{{step}}", "ops"),
            many("Services", "sum by (job) (helix_processes)", "{{job}} processes"),
            many("Version", "count by (version) (helix_build_info)", "{{version}}"),
        ),
    ),
    "queues": (
        "Queues",
        {"queue": "label_values(helix_queue_waiting_jobs, queue)"},
        (
            many("Waiting", f"max by (queue) (helix_queue_waiting_jobs{QUEUE})", "{{queue}}"),
            many("Oldest wait", f"max by (queue) (helix_queue_oldest_waiting_seconds{QUEUE})", "{{queue}}", "s"),
            many("Running", f"max by (queue) (helix_queue_running_jobs{QUEUE})", "{{queue}}"),
            many("Worker processes", f"max by (queue) (helix_queue_worker_processes{QUEUE})", "{{queue}}"),
            many("Submitted", rate("helix_jobs_submitted_total", "queue", QUEUE), "{{queue}}", "ops"),
            many("Begun", rate("helix_jobs_claimed_total", "queue", QUEUE), "{{queue}}", "ops"),
            quantiles("Wait until the claim", "helix_job_wait_seconds", "queue", QUEUE, width=24),
            many("Rings sent", rate("helix_rings_sent_total", "queue, outcome", QUEUE), "{{queue}} {{outcome}}", "ops"),
            many(
                "Rings heard", rate("helix_rings_heard_total", "queue, outcome", QUEUE), "{{queue}} {{outcome}}", "ops"
            ),
            many(
                "Looks without a ring",
                rate("helix_worker_looks_total", "queue, outcome", QUEUE),
                "{{queue}} {{outcome}}",
                "ops",
            ),
            many("Paused", f"max by (queue) (helix_queue_paused{QUEUE})", "{{queue}}"),
            many("Put in line by their start time", rate("helix_jobs_ripened_total", ""), "jobs", "ops"),
        ),
    ),
    "workers": (
        "Workers",
        {"processor": "label_values(helix_job_attempts_total, processor)"},
        (
            many(
                "Attempts",
                rate("helix_job_attempts_total", "processor, outcome", '{processor=~"$processor"}'),
                "{{processor}} {{outcome}}",
                "ops",
            ),
            quantiles(
                "Duration of attempts",
                "helix_job_attempt_duration_seconds",
                "processor",
                '{processor=~"$processor"}',
            ),
            many(
                "Failures by kind",
                rate("helix_job_failures_total", "processor, kind", '{processor=~"$processor"}') + " > 0",
                "{{processor}} {{kind}}",
                "ops",
            ),
            many(
                "Retries",
                rate("helix_job_retries_total", "processor, kind", '{processor=~"$processor"}') + " > 0",
                "{{processor}} {{kind}}",
                "ops",
            ),
            many("Worker processes", "sum by (instance) (helix_worker_processes)", "{{instance}}"),
            many("Heartbeats", rate("helix_worker_heartbeats_total", "outcome"), "{{outcome}}", "ops"),
            many("Taken from lost workers", rate("helix_jobs_reaped_total", "status"), "then {{status}}", "ops"),
            many("Outcomes not written down", rate("helix_job_outcomes_unrecorded_total", ""), "outcomes", "ops"),
            many("CPU", 'rate(process_cpu_seconds_total{job="worker"}[$__rate_interval])', "{{instance}}", "short"),
            many("Memory", 'process_resident_memory_bytes{job="worker"}', "{{instance}}", "bytes"),
            quantiles("Statements", "helix_database_statement_duration_seconds", "way", '{job="worker"}'),
            many("Open files", 'process_open_fds{job="worker"}', "{{instance}}"),
        ),
    ),
    "http": (
        "HTTP",
        {"route": "label_values(helix_http_requests_total, route)"},
        (
            many(
                "Requests by route",
                rate("helix_http_requests_total", "route", '{route=~"$route"}'),
                "{{route}}",
                "reqps",
            ),
            many(
                "Requests by code",
                rate("helix_http_requests_total", "code", '{route=~"$route"}'),
                "{{code}}",
                "reqps",
                stacked=True,
            ),
            many(
                "p95 by route",
                "histogram_quantile(0.95, sum by (le, route) ("
                'rate(helix_http_request_duration_seconds_bucket{route=~"$route"}[$__rate_interval])))',
                "{{route}}",
                "s",
            ),
            quantiles("Duration", "helix_http_request_duration_seconds", "", '{route=~"$route"}'),
            many("In progress", "sum by (instance) (helix_http_requests_in_progress)", "{{instance}}"),
            quantiles("Event loop's lag", "helix_event_loop_lag_seconds"),
            Panel(
                "Database connections",
                (
                    ("sum by (instance, pool) (helix_database_connections_in_use)", "{{instance}} {{pool}}"),
                    ("sum by (instance, pool) (helix_database_connections_limit)", "{{instance}} {{pool}} limit"),
                ),
            ),
            quantiles("Wait for a connection", "helix_database_pool_wait_seconds", "", '{job="helix-web-app"}'),
            quantiles("Statements", "helix_database_statement_duration_seconds", "way", '{job="helix-web-app"}'),
            many("Waits given up", rate("helix_database_pool_timeouts_total", "job"), "{{job}}", "ops"),
            many("Memory", 'process_resident_memory_bytes{job="helix-web-app"}', "{{instance}}", "bytes"),
            many("Since", 'time() - process_start_time_seconds{job="helix-web-app"}', "{{instance}}", "s"),
        ),
    ),
    "storage": (
        "Storage",
        {},
        (
            many("Operations", rate("helix_storage_operations_total", "operation"), "{{operation}}", "ops"),
            many(
                "Not ended well",
                rate("helix_storage_operations_total", "operation, outcome", '{outcome!="ok"}') + " > 0",
                "{{operation}} {{outcome}}",
                "ops",
            ),
            quantiles("Duration", "helix_storage_operation_duration_seconds", "operation", width=24),
            many("Bytes", rate("helix_storage_bytes_total", "direction"), "{{direction}}", "Bps"),
            many("Objects purged", rate("helix_objects_purged_total", ""), "objects", "ops"),
            many("Jobs deleted for their age", rate("helix_jobs_expired_total", ""), "jobs", "ops"),
            many(
                "Disk left",
                "min by (place) (helix_disk_free_bytes / helix_disk_size_bytes)",
                "{{place}}",
                "percentunit",
            ),
            many("Database", "max(helix_database_size_bytes)", "size", "bytes"),
            many("Oldest transaction", "max(helix_database_oldest_transaction_seconds)", "open for", "s"),
            quantiles("Look at the ledger", "helix_beat_survey_duration_seconds", width=24),
        ),
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard as Grafana reads it."""
    title, variables, panels = DASHBOARDS[name]
    return {
        "uid": f"helix-{name}",
        "title": f"HelixNet · {title}",
        "tags": ["helixnet"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "HelixNet",
                "tags": ["helixnet"],
                "asDropdown": True,
                "includeVars": False,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_variable(*variable) for variable in variables.items()]},
        "panels": list(_panels(panels)),
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def _panels(panels: tuple[Panel, ...]) -> Iterator[dict[str, Any]]:
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield _panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": panel.height})
        x, tallest = x + panel.width, max(tallest, panel.height)


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    drawn: dict[str, Any] = {"unit": panel.unit}
    if panel.kind == "timeseries":
        drawn["min"] = 0
        drawn["custom"] = {
            "fillOpacity": 10,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": drawn, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        if panel.kind == "timeseries"
        else {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True}
            for place, (expr, legend) in enumerate(panel.lines)
        ],
    }


def text(name: str) -> str:
    return json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"


def main(words: list[str]) -> int:
    wrong = [name for name in DASHBOARDS if not _is_written(name)]
    if words == ["--check"]:
        for name in wrong:
            print(f"{name}.json is not what scripts/dashboards.py says: run it", file=sys.stderr)
        return 1 if wrong else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name))
    return 0


def _is_written(name: str) -> bool:
    file = FOLDER / f"{name}.json"
    return file.exists() and file.read_text() == text(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
