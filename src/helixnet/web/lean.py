"""A route without ceremony, for the requests that may come a thousand times a second.

FastAPI documents such a route by its function's signature, as any other. What it would do for each request (solve the
dependencies, validate twice, serialize by model) costs several times what entering a job does, so here the few things
that such functions ask for are worked out directly.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from helixnet.web.deps import oauth2, reader
from helixnet.web.state import State

IDS = TypeAdapter(UUID)
FLAGS = TypeAdapter(bool)


class LeanRoute(APIRoute):
    """A route whose function takes any of `platform`, `user`, `reader`, `job_id`, `submission`, and answers a model."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        asked = inspect.signature(endpoint).parameters
        body_type: Any = asked["submission"].annotation if "submission" in asked else None
        model: TypeAdapter[Any] | None = TypeAdapter(body_type) if body_type is not None else None
        status = self.status_code or 200

        async def handle(request: Request) -> Response:
            state: State = request.app.state.helix
            user = await state.callers.by_token(await oauth2(request) or "")
            values: dict[str, Any] = {"platform": state, "user": user}
            if "reader" in asked:
                everyone = request.query_params.get("everyone")
                flag = everyone is not None and _parsed(FLAGS, everyone, "query", "everyone")
                values["reader"] = await reader(user, flag)
            if "job_id" in asked:
                values["job_id"] = _parsed(IDS, request.path_params["job_id"], "path", "job_id")
            if model is not None:
                values["submission"] = _parsed(model, await request.body(), "body")
            answer = await endpoint(**{name: values[name] for name in asked})
            return Response(answer.model_dump_json(), status, media_type="application/json")

        return handle


def _parsed(kind: TypeAdapter[Any], value: str | bytes, *place: str) -> Any:
    """The value as its type; raises RequestValidationError, as FastAPI does."""
    try:
        return kind.validate_json(value) if isinstance(value, bytes) else kind.validate_python(value)
    except ValidationError as error:
        raise RequestValidationError(
            [found | {"loc": (*place, *found["loc"])} for found in error.errors(include_url=False)]
        ) from None
