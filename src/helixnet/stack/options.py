"""What `helix up` can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """What `helix up` was asked for. `pgadmin` is the Python of an environment that has it."""

    port: int = 8000
    workers: int = 2
    reload: bool = False
    broker: Literal["valkey", "rabbitmq"] | None = None
    full: bool = False
    http_port: int = 8080
    flower_port: int = 5555
    pgadmin_port: int = 5050
    pgadmin: Path | None = None

    @property
    def tool_ports(self) -> tuple[int, ...]:
        return self.http_port, self.flower_port, self.pgadmin_port
