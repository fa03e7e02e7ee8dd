"""What stands before every page: its headers, and errors told to people instead of programs."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from helixnet import log
from helixnet.errors import HelixError, Invalid, NotFound, Unauthenticated, Unavailable
from helixnet.web.pages.render import HEADERS, page

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

SEE_OTHER = 303
SERVER_ERROR = 500

logger = log.logger("helix.web")


class PageRoute(APIRoute):
    """A route that answers people: nothing leaves it without the pages' headers, and no error as JSON."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                response = await handle(request)
            except Exception as error:  # noqa: BLE001 - the last stop before the reader
                response = _failure(request, error)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return guarded


def by_htmx(request: Request) -> bool:
    """Whether the page's script asks, for a part of the page."""
    return request.headers.get("hx-request") == "true"


def local_path(address: str | None) -> str:
    """The path and query of an address of ours, `/` for any other: what may follow a sign-in."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return "/"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if plain else "/"


def _failure(request: Request, error: Exception) -> Response:
    status, message = _told(error)
    if status >= SERVER_ERROR and not isinstance(error, (HelixError, HTTPException)):
        logger.error("a page failed", path=request.url.path, exc_info=error)
    if "text/event-stream" in request.headers.get("accept", ""):
        return PlainTextResponse(message, status)
    if status == Unauthenticated.status:
        return _to_login(request)
    if by_htmx(request):
        # The part that was asked for stays as it is; the message goes to the place for messages.
        headers = {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
        return page("parts/notice.html", status, headers, message=message, good=False)
    return page("error.html", status, status=status, message=message)


def _told(error: Exception) -> tuple[int, str]:
    match error:
        case HelixError():
            return error.status, _with_violations(error)
        case RequestValidationError():
            # An address that was mangled on its way is no more than an address that leads nowhere.
            if any(problem["loc"][0] == "path" for problem in error.errors()):
                return NotFound.status, "There is no such page."
            return Invalid.status, "The address asks for something that this page does not know."
        case HTTPException():
            return error.status_code, str(error.detail)
        case OperationalError() | InterfaceError() | PoolTimeout():
            return Unavailable.status, "The database does not answer right now. Try again in a moment."
        case _:
            return SERVER_ERROR, "Something went wrong on our side; the log knows more."


def _with_violations(error: HelixError) -> str:
    violations = error.fields.get("violations")
    if not isinstance(violations, list):
        return error.message
    told = "; ".join(f"{violation['path']}: {violation['message']}" for violation in violations)
    return f"{error.message} ({told})" if told else error.message


def _to_login(request: Request) -> Response:
    if by_htmx(request):
        wanted = local_path(request.headers.get("hx-current-url"))
        return Response(status_code=Unauthenticated.status, headers={"HX-Redirect": _login(wanted)})
    wanted = local_path(str(request.url)) if request.method == "GET" else "/"
    return RedirectResponse(_login(wanted), SEE_OTHER)


def _login(wanted: str) -> str:
    return "/login" if wanted == "/" else "/login?" + urlencode({"next": wanted})
