"""Errors as HTTP answers: RFC 9457 problem details for programs, a page for people."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from helixnet import log
from helixnet.errors import (
    Conflict,
    Forbidden,
    HelixError,
    Invalid,
    NotFound,
    OverBudget,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    violations,
)
from helixnet.web.pages.render import HEADERS, page

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Not signed in",
    402: "Over budget",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid",
    500: "Internal error",
    503: "Unavailable",
}

logger = log.logger("helix.web")


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not found",
                "status": 404,
                "detail": "There is no such job.",
                "code": "not_found",
            }
        },
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="A sentence for people.")
    code: str = Field(description="A word for programs; it stays the same from release to release.")


def problems(*errors: type[HelixError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that can end in these errors."""
    return {
        error.status: {"model": Problem, "description": TITLES[error.status], "content": {MEDIA_TYPE: {}}}
        for error in errors
    }


SIGNED_IN = (Unauthenticated, Forbidden, Invalid, Unavailable)

__all__ = [
    "SIGNED_IN",
    "Conflict",
    "NotFound",
    "OverBudget",
    "Problem",
    "TooLarge",
    "UnsupportedMedia",
    "install",
    "problems",
]


def answer(
    status: int, code: str, detail: str, headers: dict[str, str] | None = None, **fields: object
) -> JSONResponse:
    """A problem as a response."""
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return JSONResponse(body | fields, status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Render every error of the app in the one form."""
    app.add_exception_handler(HelixError, _helix_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    for away in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(away, _database_away)
    for unstorable in (DataError, UnicodeEncodeError):
        app.add_exception_handler(unstorable, _unstorable)
    app.add_exception_handler(ClientDisconnect, _hung_up)
    app.add_exception_handler(DBAPIError, _unexpected)
    app.add_exception_handler(Exception, _unexpected)


async def _helix_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HelixError)  # noqa: S101 - Starlette calls it for this type alone
    headers = {"WWW-Authenticate": "Bearer"} if error.status == Unauthenticated.status else None
    return answer(error.status, error.code, error.message, headers, **error.fields)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = violations(error.errors())
    return answer(422, Invalid.code, "The request does not fit what this route takes.", violations=found)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
        message = "There is no such page." if error.status_code == NotFound.status else str(error.detail)
        return page("error.html", error.status_code, HEADERS, status=error.status_code, message=message)
    code = TITLES.get(error.status_code, "error").lower().replace(" ", "_")
    headers = dict(error.headers) if error.headers else None
    return answer(error.status_code, code, str(error.detail), headers)


async def _database_away(_request: Request, error: Exception) -> JSONResponse:
    logger.warning("the database did not answer", error=log.first_line(error))
    return answer(
        503, Unavailable.code, "The database does not answer right now. Try again in a moment.", {"Retry-After": "2"}
    )


async def _unstorable(_request: Request, _error: Exception) -> JSONResponse:
    """Text that PostgreSQL can't hold, or UTF-8 can't write: a NUL, or half of a surrogate pair."""
    return answer(422, Invalid.code, "The request holds a character that can't be stored, such as NUL.")


async def _hung_up(request: Request, _error: Exception) -> JSONResponse:
    """Nobody hears this answer."""
    logger.info("the client hung up in the middle of its request", path=request.url.path)
    return answer(400, "hung_up", "The request ended before it was whole.")


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    logger.error("a request failed", exc_info=error)
    reference = structlog.contextvars.get_contextvars().get("request_id", "")
    return answer(500, "internal", "Something went wrong on our side; the log knows more.", request_id=reference)
