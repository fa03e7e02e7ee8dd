"""Hints: small messages on Valkey pub/sub that say "this owner's jobs changed, look at the ledger".

A hint carries no state. A lost one costs freshness for as long as a reader's polling interval, never truth.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

CHANNEL = "helixnet:hints"
TIMEOUT_SECONDS = 0.5
PAUSE_SECONDS = 2.0
GATHER_SECONDS = 0.02


class Hints:
    """Publishes and hears hints; without an address, or while Valkey is away, both do nothing and say so to no one.

    Belongs to one event loop.
    """

    def __init__(self, url: str) -> None:
        self._redis = _connect(url, TIMEOUT_SECONDS) if url else None
        self._listener = _connect(url, None) if url else None
        self._waiting: set[str] = set()
        self._flush: asyncio.Task[None] | None = None
        self._silent_until = 0.0

    def publish(self, owner_id: UUID) -> None:
        """Tell the readers that jobs of this owner changed; returns at once, never raises."""
        if self._redis is None or time.monotonic() < self._silent_until:
            return
        self._waiting.add(str(owner_id))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.get_running_loop().create_task(self._send(self._redis))

    async def _send(self, redis: "Redis") -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)  # many changes within a moment make one hint for each owner
            await self._send_at_once(redis)

    async def _send_at_once(self, redis: "Redis") -> None:
        owners, self._waiting = self._waiting, set()
        if not owners:
            return
        try:
            await redis.publish(CHANNEL, " ".join(owners))
        except (RedisError, OSError):
            self._silent_until = time.monotonic() + PAUSE_SECONDS

    async def flush(self) -> None:
        """Tell what waits to be told together with more: the event loop is about to rest."""
        if self._redis is not None:
            await self._send_at_once(self._redis)

    async def listen(self) -> AsyncGenerator[set[UUID]]:
        """The owners of changed jobs, as they are told; ends when Valkey is away, or somebody says what is no hint."""
        if self._listener is None:
            return
        with contextlib.suppress(RedisError, OSError, UnicodeDecodeError):
            async with self._listener.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(CHANNEL)
                async for message in channel.listen():
                    yield set(_owners(message["data"]))

    async def close(self) -> None:
        if self._flush is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._flush), TIMEOUT_SECONDS)
            self._flush.cancel()
        for redis in (self._redis, self._listener):
            if redis is not None:
                await redis.aclose()


def _connect(url: str, timeout: float | None) -> "Redis":
    # Only connections over TCP know of connecting slowly, and of keeping alive.
    tcp: dict[str, Any] = (
        {} if url.startswith("unix") else {"socket_connect_timeout": TIMEOUT_SECONDS, "socket_keepalive": True}
    )
    return Redis.from_url(
        url, socket_timeout=timeout, health_check_interval=0 if timeout else 15, decode_responses=True, **tcp
    )


def _owners(text: str) -> list[UUID]:
    owners = []
    for word in text.split():
        with contextlib.suppress(ValueError):
            owners.append(UUID(word))
    return owners
