"""Whether a server of this machine answers over HTTP."""

import http.client

PATIENCE_SECONDS = 5


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
