"""Write deploy/.env: a random secret for everything that asks for one, and the settings that people change.

What the file says already stays as it is; a new release's additions are put at its end.
"""

import os
import re
import secrets
import sys
from pathlib import Path

FILE = Path(__file__).parent.parent / "deploy" / ".env"

SECRETS = (
    "POSTGRES_PASSWORD",
    "RABBITMQ_PASSWORD",
    "REDIS_PASSWORD",
    "STORAGE_ACCESS_KEY",
    "STORAGE_SECRET_KEY",
    "HELIX_SECRET_KEY",
    "FLOWER_PASSWORD",
    "PGADMIN_PASSWORD",
    "GRAFANA_PASSWORD",
)
# Their comments are for whoever opens the file.
SETTINGS = (
    (
        "HELIX_PROFILE",
        "development",
        "development: known accounts with known passwords. Anywhere but here: production.",
    ),
    ("HELIX_COOKIE_SECURE", "false", "true where people come by HTTPS."),
    ("HELIX_BIND", "127.0.0.1", "The address that is published. Others than this machine: only with production."),
    ("HELIX_HTTP_PORT", "80", "The platform's port; also HELIX_API_PORT, HELIX_FLOWER_PORT, HELIX_PGADMIN_PORT."),
    ("HELIX_TLS", "off", "on: HTTPS with deploy/tls/certificate.pem and key.pem; then also HELIX_HTTP_PORT=443."),
    ("HELIX_STORE", "silo", "silo, or seaweedfs, or aws (then set HELIX_STORAGE_URL, _REGION and both keys)."),
)


def main() -> int:
    said = FILE.read_text() if FILE.exists() else ""
    names = set(re.findall(r"^([A-Z_]+)=", said, re.MULTILINE))
    added = [(name, f"{name}={secrets.token_hex(24)}\n") for name in SECRETS]
    added += [(name, f"# {comment}\n{name}={value}\n") for name, value, comment in SETTINGS]
    new = [line for name, line in added if name not in names]
    if new:
        # Whole or not at all, and never readable by others: a half-written secret would be kept for good.
        making = FILE.with_suffix(".new")
        with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.write(said + "".join(new))
        making.replace(FILE)
    print(f"{FILE}: {len(new)} added, {len(added) - len(new)} kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
