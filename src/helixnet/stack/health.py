"""Whether a part does its work, asked from beside it: for the health checks of containers."""

import http.client
import socket

import psycopg

from helixnet.config import Settings

PATIENCE_SECONDS = 5
# Beat looks into the database with every round of housekeeping.
ROUNDS = 15


def http_answers(port: int, path: str) -> bool:
    """Whether something on this machine answers a request for `path` with success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.BAD_REQUEST
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def worker_lives(settings: Settings) -> bool:
    """Whether a worker process of this host has renewed its lease in time."""
    return _holds(
        settings,
        """
        SELECT EXISTS (
            SELECT 1 FROM workers
            WHERE host = %s AND heartbeat_at > now() - make_interval(secs => %s)
        )
        """,
        socket.gethostname(),
        settings.lease_seconds,
    )


def beat_lives(settings: Settings) -> bool:
    """Whether the beat of this host has asked the database anything lately; it has nothing else to show."""
    return _holds(
        settings,
        """
        SELECT EXISTS (
            SELECT 1 FROM pg_stat_activity
            WHERE application_name = 'helixnet beat'
              AND client_addr IS NOT DISTINCT FROM inet_client_addr()
              AND state_change > now() - make_interval(secs => %s)
        )
        """,
        ROUNDS * settings.housekeeping_seconds,
    )


def _holds(settings: Settings, question: str, *values: object) -> bool:
    url = settings.require("database_url").database_url.get_secret_value()
    try:
        with psycopg.connect(url, connect_timeout=PATIENCE_SECONDS) as connection:
            row = connection.execute(question.encode(), values).fetchone()
    except psycopg.Error:
        return False
    return bool(row and row[0])
