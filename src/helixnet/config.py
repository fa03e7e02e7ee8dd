"""The settings: read from `HELIX_*` once at each entry point, frozen afterwards."""

from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import platformdirs
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MINIMUM_SECRET_BYTES = 32


def default_home() -> Path:
    """Where the embedded stack keeps its data: the platform's folder for a user's data."""
    return Path(platformdirs.user_data_dir("helixnet", appauthor=False))


class Settings(BaseSettings):
    """Every setting of every HelixNet process; docs/reference/settings.md holds one line for each."""

    model_config = SettingsConfigDict(env_prefix="HELIX_", frozen=True, extra="ignore", env_ignore_empty=True)

    profile: Literal["development", "production"] = Field(
        "production",
        description="`development` seeds known accounts and loads the drill processors; `production` does neither.",
    )
    home: Path = Field(
        default_factory=default_home,
        description="The folder of the embedded stack: its databases, objects and secrets.",
    )

    database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL: `postgresql://user:password@host:5432/name`."
    )
    database_pool_size: int = Field(10, ge=1, le=200, description="Database connections that a web process keeps.")
    broker_url: SecretStr = Field(
        SecretStr(""), description="Celery's broker: `amqp://…`, `redis://…` or `redis+socket://…`."
    )
    rabbitmq_queue_type: Literal["classic", "quorum"] = Field(
        "quorum", description="The rings' queues in RabbitMQ; `helix up` takes `classic` for a server of its own."
    )
    task_events: bool = Field(False, description="Send Celery's events of rings and workers, which Flower shows.")
    cache_url: SecretStr = Field(
        SecretStr(""), description="Valkey or Redis for live hints: `redis://…` or `unix://…`; empty means polling."
    )
    storage_url: str = Field("", description="Where objects live: `file:///folder` or `s3://bucket/prefix`.")
    storage_endpoint: str = Field("", description="The S3 server's address, when it is not AWS.")
    storage_region: str = Field("us-east-1", description="The S3 region.")
    storage_access_key: SecretStr = Field(SecretStr(""), description="The S3 access key id.")
    storage_secret_key: SecretStr = Field(SecretStr(""), description="The S3 secret access key.")

    secret_key: SecretStr = Field(
        SecretStr(""), description="Signs access tokens: at least 32 bytes, the same for every web process."
    )
    access_token_seconds: float = Field(3600, gt=0, description="How long an access token is good for.")
    session_seconds: float = Field(7 * 86400, gt=0, description="How long a dashboard session lasts without a visit.")
    cookie_secure: bool = Field(True, description="Send the session cookie over HTTPS only.")

    max_upload_bytes: int = Field(10 * 1024**3, gt=0, description="The largest accepted file.")
    max_body_bytes: int = Field(
        1024**2, gt=0, description="The largest accepted JSON or form body, and the largest job of a batch."
    )
    max_batch_bytes: int = Field(64 * 1024**2, gt=0, description="The largest accepted body of a batch of jobs.")
    max_result_bytes: int = Field(256 * 1024, gt=0, description="Results larger than this are shown as a preview.")

    queues: str = Field("default", description="The queues that a worker serves, separated by commas.")
    heartbeat_seconds: float = Field(1, gt=0, description="How often a worker process proves that it lives.")
    lease_seconds: float = Field(15, gt=0, description="Silence after which a worker process is taken for lost.")
    worker_max_jobs: int = Field(
        100_000, ge=0, description="A worker process is replaced after so many jobs; 0 for never."
    )
    worker_max_memory_bytes: int = Field(
        1024**3, ge=0, description="A worker process that has grown larger is replaced between two jobs; 0 for never."
    )
    ring_budget_seconds: float = Field(5, gt=0, description="How long one ring keeps a worker process on one queue.")
    look_seconds: float = Field(
        3, ge=0, description="A worker process that has heard no ring for so long looks for work itself; 0 for never."
    )
    keep_ended_days: float = Field(
        0, ge=0, description="Ended jobs are deleted, with their history and files, after so many days; 0 keeps them."
    )
    housekeeping_seconds: float = Field(1, gt=0, description="How often beat sweeps, reaps and purges.")
    progress_file: str = Field(
        "", description="A file that beat touches after each round of housekeeping, for `helix health beat`."
    )

    budget: Decimal | None = Field(
        None,
        ge=0,
        description="What an owner may spend on metered work in a month, in `HELIX_CURRENCY`; empty for no bound.",
    )
    currency: str = Field(
        "USD", max_length=10, description="What prices, costs and budgets are in; shown, not converted."
    )

    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Where a service serves its Prometheus metrics, of all its processes; 0 for nowhere.",
    )
    metrics_host: str = Field("127.0.0.1", description="The address that the metrics are served on.")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least severe line logged.")
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people or for machines.")

    @field_validator("secret_key")
    @classmethod
    def _secret_is_long_enough(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if secret and len(secret.encode()) < MINIMUM_SECRET_BYTES:
            raise ValueError(f"HELIX_SECRET_KEY must have at least {MINIMUM_SECRET_BYTES} bytes")
        return value

    @model_validator(mode="after")
    def _lease_outlives_heartbeat(self) -> Self:
        if self.lease_seconds < 3 * self.heartbeat_seconds:
            raise ValueError("HELIX_LEASE_SECONDS must be at least three times HELIX_HEARTBEAT_SECONDS")
        return self

    @property
    def development(self) -> bool:
        return self.profile == "development"

    @cached_property
    def queue_names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.queues.split(",") if name.strip())

    def require(self, *names: str) -> Self:
        """These settings, once each named one has a value; raises MissingSetting with the variables to set."""
        missing = [name for name in names if not _plain(getattr(self, name))]
        if missing:
            raise MissingSetting(missing)
        return self


class MissingSetting(Exception):
    """A process was started without a setting that it can't do without."""

    def __init__(self, names: list[str]) -> None:
        variables = ", ".join(f"HELIX_{name.upper()}" for name in names)
        super().__init__(f"not set: {variables} (`helix up` sets all of them for the stack it starts)")


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
