"""Write compose.yml as docker-compose v1 over podman's socket takes it: `derive.py OUT`.

Nothing is taken away but what these two can't do: Grafana (no package of it is at hand), limits of resources (they
need cgroups that a container may not make), and intervals of health checks before the first success. Everything gets
more time to start: the checks are run by a loop, one after another, on a machine that may have other work.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"
NOT_HERE = ("grafana",)
START_PERIOD = "300s"


def main(out: Path) -> None:
    yaml = YAML(typ="safe")
    stack: dict[str, Any] = yaml.load((DEPLOY / "compose.yml").read_text())
    derived = {"networks": stack["networks"], "volumes": stack["volumes"]}
    services = {name: service for name, service in stack["services"].items() if name not in NOT_HERE}
    derived["services"] = {name: old(service) for name, service in services.items()}
    derived["networks"] = {name: network or {} for name, network in derived["networks"].items()}
    derived["volumes"] = {name: volume or {} for name, volume in derived["volumes"].items() if name not in NOT_HERE}
    # JSON is YAML, and reads the same in all its versions: `off` is a word in one and no in another.
    out.write_text(json.dumps(derived, indent=2))


def old(service: dict[str, Any]) -> dict[str, Any]:
    service = dict(service)
    limits = service.pop("deploy", {})
    if "replicas" in limits:
        service["scale"] = limits["replicas"]
    check = {name: value for name, value in service["healthcheck"].items() if name != "start_interval"}
    check["start_period"] = START_PERIOD
    if check["test"][0] == "CMD":
        check["test"] = ["CMD-SHELL", " ".join(check["test"][1:])]
    service["healthcheck"] = check
    service["volumes"] = [
        mount.replace("./", f"{DEPLOY}/", 1) if mount.startswith("./") else mount
        for mount in service.get("volumes", [])
    ]
    service.pop("logging", None)  # podman has no json-file under this name's options
    service.pop("build", None)  # images.sh has built it
    if "depends_on" in service:
        service["depends_on"] = {name: wait for name, wait in service["depends_on"].items() if name not in NOT_HERE}
    return service


if __name__ == "__main__":
    main(Path(sys.argv[1]))
