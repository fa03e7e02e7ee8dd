"""The compose files: what the stack promises about itself, read from the files alone."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TWELVE = {
    "traefik",
    "helix-web-app",
    "worker",
    "beat",
    "flower",
    "postgres",
    "redis",
    "rabbitmq",
    "minio",
    "pgadmin",
    "prometheus",
    "grafana",
}
# What compose files may add to, but never bring in anew.
MORE = ["compose.dev.yml", "compose.seaweedfs.yml", "compose.tls.yml"]


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load((DEPLOY / name).read_text())
    return content


COMPOSE = load("compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_there_are_exactly_twelve_services() -> None:
    assert set(SERVICES) == TWELVE


@pytest.mark.parametrize("name", MORE)
def test_no_other_file_adds_a_service(name: str) -> None:
    assert set(load(name)["services"]) <= TWELVE


@pytest.mark.parametrize("name", sorted(TWELVE))
def test_every_service_is_watched_limited_and_restarted(name: str) -> None:
    service = SERVICES[name]

    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert not service["image"].endswith(":latest")
    assert ":" in service["image"]


def test_traefik_alone_is_published_and_on_loopback_unless_told_otherwise() -> None:
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["traefik"]
    published = dict(re.findall(r":-(\d+)\}:(\d+)$", port)[0] for port in SERVICES["traefik"]["ports"])

    assert published == {"80": "8080", "8000": "8000", "5555": "5555", "5050": "5050"}
    assert all(port.startswith("${HELIX_BIND:-127.0.0.1}:") for port in SERVICES["traefik"]["ports"])


def test_with_tls_one_port_more_is_published_and_the_certificate_is_only_read() -> None:
    more = load("compose.tls.yml")["services"]["traefik"]

    assert [port.rpartition(":")[2] for port in more["ports"]] == ["8081"]
    assert all(port.startswith("${HELIX_BIND:-127.0.0.1}:") for port in more["ports"])
    assert more["volumes"] == ["${HELIX_TLS_FOLDER:-./tls}:/etc/traefik/tls:ro"]
    assert load("compose.tls.yml")["services"]["helix-web-app"]["environment"] == {"HELIX_COOKIE_SECURE": "true"}


def test_no_container_gets_the_engines_socket() -> None:
    mounts = [str(mount) for service in SERVICES.values() for mount in service.get("volumes", [])]

    assert mounts
    assert [mount for mount in mounts if ".sock" in mount] == []


def test_what_jobs_copy_lies_on_a_disk_and_not_in_memory() -> None:
    worker = SERVICES["worker"]

    assert worker["environment"]["TMPDIR"] == "/scratch"
    assert worker["volumes"] == ["scratch:/scratch"]
    assert "--owner 10001 --group 10001 --mode 0700 /scratch" in (DEPLOY / "Dockerfile").read_text()


def test_what_is_mounted_from_here_is_there_or_belongs_to_observability() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    here = [(source, mode) for source, _, *mode in mounts if source.startswith(".")]

    assert {mode[0] for _, mode in here} == {"ro"}
    missing = {source for source, _ in here if not (DEPLOY / source).exists()}
    assert {source for source in missing if not source.startswith(("./prometheus", "./grafana"))} == set()


def test_everything_waits_for_what_it_needs_to_be_healthy() -> None:
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}

    assert set(waits["helix-web-app"]) == {"postgres", "redis", "rabbitmq", "minio"}
    assert "helix-web-app" in waits["worker"]
    assert "helix-web-app" in waits["beat"]
    assert all(wait["condition"] == "service_healthy" for service in waits.values() for wait in service.values())


@pytest.mark.parametrize("name", ["helix-web-app", "worker", "beat", "flower"])
def test_our_parts_run_on_a_file_system_that_nobody_writes_to(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["image"] == SERVICES["worker"]["image"]


def test_the_databases_network_leads_nowhere() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    for name in ("postgres", "redis", "rabbitmq", "minio"):
        assert SERVICES[name]["networks"] == ["data"]
    assert "data" not in SERVICES["traefik"]["networks"]


def test_a_retiring_web_has_the_time_it_takes() -> None:
    from helixnet.web.serve import HAND_OVER_SECONDS, RETIREMENT_SECONDS

    web = SERVICES["helix-web-app"]
    assert web["stop_signal"] == "SIGQUIT"
    assert int(web["stop_grace_period"].removesuffix("s")) > HAND_OVER_SECONDS + RETIREMENT_SECONDS


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A source tree with nothing but the script and what it wrote."""
    script = tmp_path / "scripts" / "make_env.py"
    script.parent.mkdir()
    (tmp_path / "deploy").mkdir()
    script.write_text((ROOT / "scripts" / "make_env.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
    return script


def settings(made: Path) -> dict[str, str]:
    lines = (made.parents[1] / "deploy" / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_the_environment_has_a_random_secret_for_everything_that_asks_for_one(made: Path) -> None:
    wanted = {
        name for file in DEPLOY.glob("compose*.yml") for name in re.findall(r"\$\{([A-Z_]+):\?", file.read_text())
    }
    found = settings(made)
    secrets = [found[name] for name in wanted]

    assert len(wanted) >= 9
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret) >= 32 for secret in secrets)
    assert stat.S_IMODE((made.parents[1] / "deploy" / ".env").stat().st_mode) == 0o600


def test_an_environment_that_is_there_stays_and_is_completed(made: Path) -> None:
    file = made.parents[1] / "deploy" / ".env"
    before = settings(made)
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "GRAFANA" not in line) + "\n")
    subprocess.run([sys.executable, str(made)], check=True, capture_output=True)
    after = settings(made)

    assert set(after) == set(before)
    assert {name for name in before if before[name] != after[name]} == {"GRAFANA_PASSWORD"}


def test_every_extra_of_the_image_has_a_lock() -> None:
    (extras,) = re.findall(r'^ARG EXTRAS="(.*)"', (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)

    for extra in extras.split():
        assert "--hash=sha256:" in (ROOT / "requirements" / f"image-{extra}.txt").read_text()
