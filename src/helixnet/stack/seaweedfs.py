"""The full stack's object store: SeaweedFS from its wheel, speaking S3, in one process on loopback."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from helixnet.blobs import bucket
from helixnet.config import Settings
from helixnet.stack import ports
from helixnet.stack.ports import HOST
from helixnet.stack.servers import ENVIRONMENT
from helixnet.stack.supervisor import Program
from helixnet.stack.tools import tool

ACCESS_KEY = "helix"
BUCKET = "helix"
PARTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True, slots=True)
class SeaweedFS:
    """A SeaweedFS with its data in one folder. Only whoever knows the `secret` gets at the objects."""

    folder: Path
    secret: str
    _ports: dict[str, int] = field(
        default_factory=lambda: {f"{part}.port{grpc}": ports.free_port() for part in PARTS for grpc in ("", ".grpc")}
    )

    @property
    def settings(self) -> dict[str, str]:
        """The environment of those who store objects here."""
        return {
            "HELIX_STORAGE_URL": f"s3://{BUCKET}",
            "HELIX_STORAGE_ENDPOINT": f"http://{HOST}:{self._ports['s3.port']}",
            "HELIX_STORAGE_ACCESS_KEY": ACCESS_KEY,
            "HELIX_STORAGE_SECRET_KEY": self.secret,
        }

    def program(self, output: Path) -> Program:
        """What to run; it is ready once it has the bucket. Raises MissingTool."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        options = {"ip": HOST, "ip.bind": HOST, "dir": self.folder, "master.volumeSizeLimitMB": 1024}
        # As many volumes as the disk has room for: by default it would end at eight.
        options |= {"volume.max": 0}
        # Nobody but us asks it for anything: there are no others to be told before it stops.
        options |= {"s3.port.iceberg": 0, "s3.port.lance": 0, "volume.preStopSeconds": 0} | self._ports
        command = [str(tool("weed", "full")), "server", "-s3", *(f"-{name}={value}" for name, value in options.items())]
        return Program("seaweedfs", command, self._environment, self._has_bucket, patience=4.0, output=output)

    @property
    def _environment(self) -> dict[str, str]:
        # Its parts listen on ports of their own: with these, they answer each other alone.
        keys = ("JWT_SIGNING_KEY", "JWT_SIGNING_READ_KEY", "JWT_FILER_SIGNING_KEY", "JWT_FILER_SIGNING_READ_KEY")
        inner = {f"WEED_{key}": hashlib.sha256(f"{key} {self.secret}".encode()).hexdigest() for key in keys}
        return {
            **ENVIRONMENT,
            **inner,
            "HOME": str(self.folder),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    async def _has_bucket(self) -> bool:
        settings = {name.removeprefix("HELIX_").lower(): value for name, value in self.settings.items()}
        try:
            async with asyncio.timeout(5):
                await bucket.make(Settings.model_validate(settings))
        except (OSError, TimeoutError):
            return False
        return True
