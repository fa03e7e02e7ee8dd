"""The web process: the API, its documentation, and the dashboard, over one set of services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uuid_utils.compat as uuids
from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi.telemetry import TelemetryConfig
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from helixnet import __version__, log, metrics, tracing
from helixnet.config import Settings
from helixnet.web import errors, pages
from helixnet.web.api import auth, batches, failures, health, jobs, processors, queues, selections, usage
from helixnet.web.deps import API
from helixnet.web.metered import Metered
from helixnet.web.state import open_state

DESCRIPTION = """
Hand over files, get a job id at once, and have the work done by a fleet of workers.

Sign in with **Authorize**. Once a submission is answered with 201, its job reaches a final state: `COMPLETED`,
`FAILED` or `CANCELLED`. Errors are problem details (RFC 9457).
"""
UNTRACED = frozenset({"/livez", "/readyz"})
# Metrics are ours to serve, logs ours to write; and what goes on within a request is told by our own spans.
TELEMETRY: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": lambda scope: scope["path"] in UNTRACED or scope["path"].startswith("/static/"),
}


def create_app() -> FastAPI:
    """The application, with its settings from the environment."""
    settings = Settings().require("database_url", "broker_url", "storage_url", "secret_key")
    log.configure(settings)
    metrics.join()
    tracing.configure("web")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_state(app, settings):
            yield
        await asyncio.to_thread(tracing.close)
        metrics.close()

    app = FastAPI(
        title="HelixNet",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        # FastAPI's own: a span for each request, once `tracing.configure` has set a provider.
        telemetry=TELEMETRY,
        max_body_size=settings.max_body_bytes,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    # In this order they are asked whether a request is theirs: the busiest first, and `/jobs/batch` is no job's id.
    for router in (
        jobs.busy,
        batches.submission,
        selections.router,
        jobs.router,
        batches.router,
        queues.router,
        failures.router,
        processors.router,
        usage.router,
        auth.router,
    ):
        app.include_router(router, prefix=API)
    app.include_router(health.router)
    app.add_api_route("/docs", _swagger, include_in_schema=False, response_class=HTMLResponse)
    app.include_router(pages.router)
    app.mount("/static", Assets(directory=pages.STATIC), name="static")
    errors.install(app)
    app.add_middleware(RequestId)
    app.add_middleware(Metered)
    return app


def _swagger() -> HTMLResponse:
    """Swagger from our own files: the documentation works where the network ends at the door."""
    files = "/static/vendor/swagger-ui/swagger-ui"
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="HelixNet API",
        swagger_js_url=f"{files}-bundle.js",
        swagger_css_url=f"{files}.css",
        swagger_favicon_url="/static/favicon.svg",
        swagger_ui_parameters={"persistAuthorization": True, "displayRequestDuration": True},
    )


class Assets(StaticFiles):
    """Static files: for good where the address carries the content's hash, for an hour elsewhere."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        hashed = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "public, max-age=3600"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


class RequestId:
    """Gives each request an id: in its log lines, and in the answer's `X-Request-ID`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuids.uuid7())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)
