"""The Helm chart: what it renders is what the Kubernetes API takes, and it is safe by itself."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import psycopg
import pytest
import yaml

from helixnet.config import Settings
from helixnet.worker import process

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "helixnet"
VALUES = Path(__file__).with_name("values")
# The oldest and the newest that the chart is for.
VERSIONS = ("1.30", "1.37")
# What KEDA's API (keda.sh/v1alpha1) takes of the two kinds, as far as the chart uses it.
KEDA = json.loads(Path(__file__).with_name("keda.json").read_text())
SETS = sorted(file.stem for file in VALUES.glob("*.yaml"))

Manifest = dict[str, Any]


def helm(*arguments: object) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("helm")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False)


@cache
def rendered(name: str, *sets: str) -> list[Manifest]:
    """What the chart makes of a file of values, and further values."""
    done = helm("template", "acme", CHART, "--values", VALUES / f"{name}.yaml", *(f"--set={one}" for one in sets))
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod's name and specification."""
    for manifest in of_kind(manifests, "Deployment", "Job"):
        yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]
    for manifest in of_kind(manifests, "Pod"):
        yield manifest["metadata"]["name"], manifest["spec"]


def by_name(manifests: list[Manifest], kind: str, ending: str) -> Manifest:
    (found,) = [found for found in of_kind(manifests, kind) if found["metadata"]["name"].endswith(ending)]
    return found


def variables(pod: Manifest) -> dict[str, Any]:
    (container,) = pod["containers"]
    named = {entry["name"]: entry for entry in container["env"]}
    assert len(named) == len(container["env"]), "a variable is set twice"
    return named


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", SETS)
def test_the_api_takes_what_is_rendered(values: str, version: str) -> None:
    manifests = rendered(values)

    assert len(manifests) >= 8
    for manifest in manifests:
        if manifest["apiVersion"] == "keda.sh/v1alpha1":
            jsonschema.validate(manifest["spec"], KEDA[manifest["kind"]])
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_refuse_what_the_api_would_refuse() -> None:
    wrong = json.loads(json.dumps(by_name(rendered("smallest"), "Deployment", "-web")))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpget"] = {}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"scaleTargetRef": {"name": "a"}, "triggers": [], "minReplicas": 1}, KEDA["ScaledObject"])


@pytest.mark.parametrize("values", SETS)
def test_every_pod_is_confined(values: str) -> None:
    for name, pod in pods(rendered(values)):
        security = pod["securityContext"]
        (container,) = pod["containers"]

        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] == 10001, name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name
        assert "memory" in container["resources"]["limits"], name
        # With nothing else to write to, this is all that a process needs.
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"], name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name


@pytest.mark.parametrize("values", SETS)
def test_secrets_are_only_pointed_at(values: str) -> None:
    manifests = rendered(values)
    secret = {
        f"HELIX_{name.upper()}" for name, field in Settings.model_fields.items() if "Secret" in repr(field.annotation)
    }

    assert len(secret) >= 6
    assert of_kind(manifests, "Secret") == []
    for name, pod in pods(manifests):
        for variable in variables(pod).values():
            if variable["name"] in secret:
                assert set(variable["valueFrom"]["secretKeyRef"]) == {"name", "key"}, name


def test_the_processes_get_settings_that_they_can_read() -> None:
    manifests = rendered("largest")
    worker = variables(dict(pods(manifests))["acme-helixnet-worker-default"])
    given = {name.removeprefix("HELIX_").lower(): entry.get("value", "x" * 40) for name, entry in worker.items()}

    settings = Settings.model_validate(given)

    assert settings.queue_names == ("default", "mail")
    assert settings.max_upload_bytes == 10737418240
    assert settings.lease_seconds == 20.5
    assert settings.profile == "production"
    # Prometheus comes from another pod.
    assert (worker["HELIX_METRICS_PORT"]["value"], worker["HELIX_METRICS_HOST"]["value"]) == ("9464", "0.0.0.0")
    big = variables(dict(pods(manifests))["acme-helixnet-worker-big"])
    assert big["HELIX_WORKER_MAX_MEMORY_BYTES"]["value"] == "12884901888"
    assert big["HELIX_QUEUES"]["value"] == "heavy"
    # Only the web signs tokens.
    assert "HELIX_SECRET_KEY" not in worker
    assert "HELIX_SECRET_KEY" in variables(dict(pods(manifests))["acme-helixnet-web"])


def test_a_worker_has_time_to_drain() -> None:
    needed = process.DRAIN_SECONDS + process.STUCK_SECONDS
    graces = {name: pod["terminationGracePeriodSeconds"] for name, pod in pods(rendered("largest")) if "worker" in name}

    assert len(graces) == 3
    assert all(grace >= needed + 5 for grace in graces.values()), graces


def test_every_part_that_serves_may_be_disrupted_one_by_one() -> None:
    manifests = rendered("largest")
    deployments = of_kind(manifests, "Deployment")
    budgets = of_kind(manifests, "PodDisruptionBudget")

    selected = [json.dumps(budget["spec"]["selector"], sort_keys=True) for budget in budgets]
    assert sorted(json.dumps(one["spec"]["selector"], sort_keys=True) for one in deployments) == sorted(selected)
    assert by_name(manifests, "Deployment", "-beat")["spec"]["replicas"] == 2
    for one in deployments:
        wanted = one["spec"]["selector"]["matchLabels"].items()
        assert wanted <= one["spec"]["template"]["metadata"]["labels"].items()


def test_where_something_else_counts_the_pods_the_chart_does_not() -> None:
    replicas = {
        one["metadata"]["name"]: one["spec"].get("replicas") for one in of_kind(rendered("largest"), "Deployment")
    }

    assert replicas == {
        "acme-helixnet-web": None,
        "acme-helixnet-worker-default": None,
        "acme-helixnet-worker-big": None,
        "acme-helixnet-worker-steady": 3,
        "acme-helixnet-beat": 2,
    }
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of_kind(rendered("largest"), "ScaledObject")}
    assert scaled == {"acme-helixnet-worker-default", "acme-helixnet-worker-big"}


def test_migrations_run_before_everything_else_and_need_nothing_of_the_release() -> None:
    job = by_name(rendered("smallest"), "Job", "-migrate")
    pod = job["spec"]["template"]["spec"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert pod["containers"][0]["args"] == ["db", "upgrade"]
    # Before the first installation there is neither the chart's account nor a ConfigMap.
    assert pod["serviceAccountName"] == "default"
    assert of_kind(rendered("bare"), "Job") == []


def test_everything_is_denied_that_is_not_allowed() -> None:
    manifests = rendered("smallest")
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(manifests, "NetworkPolicy")}
    denial = policies["acme-helixnet-deny"]

    assert denial["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in denial
    assert "egress" not in denial
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in of_kind(manifests, "Deployment", "Job")]
    labels += [one["metadata"]["labels"] for one in of_kind(manifests, "Pod")]
    assert len(labels) == 5
    for found in labels:
        assert denial["podSelector"]["matchLabels"].items() <= found.items()
    opened = [
        port["port"] for policy in policies.values() for rule in policy.get("ingress", []) for port in rule["ports"]
    ]
    assert sorted(opened) == [8000, 9464]
    # No rule is without ports, and none lets the world in.
    for policy in policies.values():
        assert all(rule["ports"] for rule in policy.get("egress", []))
        assert all(rule["from"] for rule in policy.get("ingress", []))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("smallest", "port-forward service/acme-helixnet-web 8000:80"),
        ("largest", "https://helix.example/"),
        ("bare", "every pod of the cluster can reach the web"),
    ],
)
def test_the_notes_say_where_it_is_and_what_is_missing(values: str, said: str) -> None:
    done = helm("install", "acme", CHART, "--dry-run=client", "--values", VALUES / f"{values}.yaml")

    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert said in notes
    assert "helm --namespace default test acme" in notes


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("", 443), ("https://s3.example", 443), ("http://s3.example", 80), ("http://s3.example:9000/", 9000)],
)
def test_the_way_to_the_object_store_is_open_where_it_listens(endpoint: str, port: int) -> None:
    policy = by_name(rendered("smallest", f"storage.endpoint={endpoint}"), "NetworkPolicy", "-servers")

    assert policy["spec"]["egress"][-1]["ports"] == [{"port": port, "protocol": "TCP"}]


REFUSED = {
    "no database": (("database.existingSecret=",), "database.existingSecret is needed"),
    "no storage": (("storage.url=",), "storage.url is needed"),
    "a folder that no pod shares": (("storage.url=file:///data",), "/storage/url"),
    "a secret among the settings": (("settings.HELIX_DATABASE_URL=postgresql://u:p@h/d",), "HELIX_DATABASE_URL"),
    "what the chart sets itself": (("settings.HELIX_QUEUES=other",), "HELIX_QUEUES"),
    "a secret of a pool": (("workers.default.settings.HELIX_SECRET_KEY=x",), "HELIX_SECRET_KEY"),
    "a setting by the other door": (("extraEnv[0].name=HELIX_SECRET_KEY", "extraEnv[0].value=x"), "/extraEnv/0/name"),
    "root": (("podSecurityContext.runAsUser=0",), "runAsUser"),
    "root by another word": (("podSecurityContext.runAsNonRoot=false",), "runAsNonRoot"),
    "a tag that moves": (("image.tag=latest",), "/image/tag"),
    "no pool": (("workers.default=null",), "/workers"),
    "a pool without a queue": (("workers.mail.concurrency=1",), "queues"),
    "SQL in a queue's name": (("workers.default.queues[0]=a' OR 1=1",), "/workers/default/queues/0"),
    "a grace that cuts the drain": (
        ("workers.default.terminationGracePeriodSeconds=5",),
        "terminationGracePeriodSeconds",
    ),
    "a misspelt value": (("web.replica=3",), "replica"),
    "fewer at most than at least": (
        ("web.autoscaling.enabled=true", "web.autoscaling.minReplicas=20"),
        "larger than maxReplicas",
    ),
    "an Ingress that nobody lets through": (
        ("ingress.enabled=true", "ingress.host=a.example"),
        "networkPolicy.webFrom",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_can_only_be_mistakes_are_refused(case: str) -> None:
    sets, said = REFUSED[case]

    done = helm("template", "acme", CHART, "--values", VALUES / "smallest.yaml", *(f"--set={one}" for one in sets))

    assert done.returncode != 0
    assert said in done.stderr


# The queries for KEDA, on the database that they are for.


def depth_query(pool: str) -> str:
    query: str = by_name(rendered("largest"), "ScaledObject", pool)["spec"]["triggers"][0]["metadata"]["query"]
    return query


@pytest.fixture
def ledger_with_history(database_url: str) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """20,000 jobs that have ended, three that wait, one for later, two that run; another queue is paused."""
    insert = """
        INSERT INTO jobs
            (id, owner_id, processor, params, payload, queue, priority, status, max_attempts, time_limit, due)
        SELECT gen_random_uuid(), gen_random_uuid(), 'core.echo', '{}', '{}', %s, 4, %s, 3, '5 minutes', %s
        FROM generate_series(1, %s)
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        for queue, status, due, count in (
            ("default", "COMPLETED", True, 20_000),
            ("default", "PENDING", True, 3),
            ("default", "PENDING", False, 1),
            ("mail", "IN_PROGRESS", True, 2),
            ("heavy", "PENDING", True, 500),
        ):
            connection.execute(insert, (queue, status, due, count))
        connection.execute("INSERT INTO queues (name, paused) VALUES ('heavy', false)")
        connection.execute("ANALYZE jobs")
        yield connection


def ask(connection: "psycopg.Connection[tuple[Any, ...]]", query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def test_the_depth_is_what_waits_and_runs(ledger_with_history: "psycopg.Connection[tuple[Any, ...]]") -> None:
    assert ask(ledger_with_history, depth_query("-default")) == 3 + 2
    # No more than what the largest number of pods is for: 20 pods of one job each.
    assert ask(ledger_with_history, depth_query("-big")) == 20

    ledger_with_history.execute("UPDATE queues SET paused = true WHERE name = 'heavy'")

    assert ask(ledger_with_history, depth_query("-big")) == 0


def test_asking_for_the_depth_reads_no_history(ledger_with_history: "psycopg.Connection[tuple[Any, ...]]") -> None:
    plan = ledger_with_history.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {depth_query('-default')}").fetchone()
    assert plan is not None

    # The table has more than a thousand pages.
    buffers = plan[0][0]["Plan"]["Shared Hit Blocks"] + plan[0][0]["Plan"]["Shared Read Blocks"]
    assert buffers < 60, buffers
