"""How an S3 server is reached."""

from typing import Any
from urllib.parse import urlsplit

from obstore.store import S3Store

from helixnet.config import Settings


def s3_store(settings: Settings, prefix: str | None = None) -> S3Store:
    """The bucket of `storage_url`.

    Without an endpoint it is one of AWS; without keys, AWS's own ways to find some are taken (the environment, the
    role of the machine).
    """
    endpoint = settings.storage_endpoint or None
    options: dict[str, Any] = {
        "prefix": prefix,
        "endpoint": endpoint,
        "region": settings.storage_region,
        "access_key_id": settings.storage_access_key.get_secret_value(),
        "secret_access_key": settings.storage_secret_key.get_secret_value(),
        "virtual_hosted_style_request": endpoint is None,
    }
    return S3Store(
        urlsplit(settings.storage_url).netloc,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "connect_timeout": "5s",
            # A large object takes as long as it takes, if only something comes; a part of an upload may take this.
            "timeout": "24h",
            "read_timeout": "60s",
        },
        **{name: value for name, value in options.items() if value not in (None, "")},
    )
