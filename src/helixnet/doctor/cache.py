"""The cache: does a hint that is published reach who listens."""

import asyncio
import uuid
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from helixnet.config import Settings
from helixnet.doctor.findings import Finding, error, note, ok, said, warning
from helixnet.hints import CHANNEL

PATIENCE_SECONDS = 3.0


async def examine(settings: Settings) -> list[Finding]:
    url = settings.cache_url.get_secret_value()
    if not url:
        return [
            note(
                "cache.reachable",
                "There is no cache: live views look at the database every few seconds.",
                "Set HELIX_CACHE_URL to have them told at once.",
            )
        ]
    try:
        redis = _connect(url)
    except ValueError as problem:
        return [
            error("cache.reachable", f"HELIX_CACHE_URL: {said(problem, settings)}", "Correct it: redis://… or unix://…")
        ]
    try:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            heard = await _round_trip(redis)
    except (RedisError, OSError, TimeoutError) as problem:
        return [
            error(
                "cache.reachable",
                f"The cache does not answer: {said(problem, settings)}",
                "Start it, or correct HELIX_CACHE_URL; until then live views are some seconds late.",
            )
        ]
    finally:
        await redis.aclose()
    if not heard:
        advice = "Let HELIX_CACHE_URL name one server for all processes, and its user hear the channels helixnet:*."
        return [warning("cache.hints", "A hint that was published did not reach its listener.", advice)]
    return [ok("cache.hints", "Hints reach their listeners.")]


async def _round_trip(redis: "Redis") -> bool:
    channel, word = f"{CHANNEL}:doctor:{uuid.uuid4().hex}", uuid.uuid4().hex
    async with redis.pubsub() as listener:
        await listener.subscribe(channel)
        await listener.get_message(timeout=PATIENCE_SECONDS)
        await redis.publish(channel, word)
        message = await listener.get_message(ignore_subscribe_messages=True, timeout=PATIENCE_SECONDS)
    return message is not None and message["data"] == word


def _connect(url: str) -> "Redis":
    tcp: dict[str, Any] = {} if url.startswith("unix") else {"socket_connect_timeout": PATIENCE_SECONDS}
    return Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, decode_responses=True, **tcp)
