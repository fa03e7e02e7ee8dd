"""What the figures were measured on: the machine, and the versions of everything that took part."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil
import psycopg
import redis
from kombu.connection import Connection

import helixnet
from benchmarks.ground import Ground
from benchmarks.peers.contestants import KINDS, python

PACKAGES = ("celery", "kombu", "redis", "psycopg", "sqlalchemy", "fastapi", "uvicorn")
PEER_VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


def facts(ground: Ground) -> dict[str, str]:
    """The machine and the versions, as text by name."""
    memory = psutil.virtual_memory().total / 1024**3
    load = os.getloadavg()[0]
    return (
        {
            "measured at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "processor": _processor(),
            "cores": str(os.cpu_count()),
            "memory": f"{memory:.1f} GiB",
            "system": f"{platform.system()} {platform.release()}",
            "load before the start": f"{load:.2f}",
            "python": platform.python_version(),
            "helixnet": helixnet.__version__,
            "postgresql": _postgres(ground),
            "valkey": _valkey(ground),
            "rabbitmq": _rabbitmq(ground),
        }
        | {name: metadata.version(name) for name in PACKAGES}
        | {kind.key: _peer(kind.key) for kind in KINDS}
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _postgres(ground: Ground) -> str:
    with psycopg.connect(ground.postgres.url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0])


def _valkey(ground: Ground) -> str:
    with redis.Redis.from_url(ground.valkey.cache_url) as client:
        said = client.info("server")
    return str(said.get("valkey_version") or said.get("redis_version"))


def _rabbitmq(ground: Ground) -> str:
    if ground.rabbitmq_url is None:
        return "none"
    with Connection(ground.rabbitmq_url, connect_timeout=5) as connection:
        connection.connect()
        return str(connection.connection.server_properties.get("version"))


def _peer(name: str) -> str:
    command: Sequence[str] = [str(python()), "-c", PEER_VERSION, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "not installed"
    return done.stdout.strip() if done.returncode == 0 else "not installed"
