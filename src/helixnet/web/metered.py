"""What the web counts of its requests."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helixnet.metrics import catalog
from helixnet.web.deps import API

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metered:
    """Counts every request by the template of its route, never by its path: that is the client's to choose."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        code, streams = 0, False

        async def send_noting(message: Message) -> None:
            nonlocal code, streams
            if message["type"] == "http.response.start":
                code = message["status"]
                streams = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message.get("headers", ())
                )
            await send(message)

        self._running += 1
        catalog.HTTP_RUNNING.set(self._running)
        try:
            await self._app(scope, receive, send_noting)
        finally:
            self._running -= 1
            catalog.HTTP_RUNNING.set(self._running)
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = route_of(scope)
            catalog.HTTP_REQUESTS.add(1, method, route, str(code or 499))
            if not streams:
                catalog.HTTP_SECONDS.observe(time.perf_counter() - begun, method, route)


def route_of(scope: Scope) -> str:
    """The template of the route that answered, as the documentation writes it; `unmatched` where there was none."""
    template = getattr(scope.get("route"), "path", None)
    path = scope["path"]
    if template is None:
        return "/static/{path}" if path.startswith("/static/") else "unmatched"
    return f"{API}{template}" if path.startswith(f"{API}/") else str(template)
