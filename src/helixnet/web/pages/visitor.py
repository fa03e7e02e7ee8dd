"""Who visits a page: the session's cookie, and the proofs that a change was meant by its owner."""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from helixnet.config import Settings
from helixnet.errors import Forbidden, Unauthenticated
from helixnet.jobs.service import Reader
from helixnet.users import service as users
from helixnet.users import tokens
from helixnet.users.models import User
from helixnet.users.schemas import Role
from helixnet.web.deps import Platform

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in, with the session's secret and the word that their forms must bring along."""

    user: User
    token: str

    @property
    def csrf(self) -> str:
        return tokens.csrf_token(self.token)

    @property
    def admin(self) -> bool:
        return self.user.role == Role.ADMIN


def cookie_name(settings: Settings) -> str:
    """`__Host-` makes browsers refuse the cookie unless it is Secure, of this host alone, and of no folder."""
    return "__Host-helix_session" if settings.cookie_secure else "helix_session"


def session_token(request: Request, settings: Settings) -> str | None:
    return request.cookies.get(cookie_name(settings))


def keep_cookie(response: Response, settings: Settings, token: str) -> None:
    """Have the browser keep the session for as long as the server does from now on."""
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=int(settings.session_seconds),
        path="/",
        secure=settings.cookie_secure,
        httponly=True,
        samesite="lax",
    )


def drop_cookie(response: Response, settings: Settings) -> None:
    name = cookie_name(settings)
    response.delete_cookie(name, path="/", secure=settings.cookie_secure, httponly=True, samesite="lax")


async def visitor(request: Request, platform: Platform) -> Visitor:
    """Who is signed in; raises Unauthenticated, which leads to the sign-in page."""
    token = session_token(request, platform.settings)
    if not token:
        raise Unauthenticated("Sign in first.")
    lifetime = timedelta(seconds=platform.settings.session_seconds)
    async with platform.database.transaction() as session:
        user = await users.by_session(session, token, lifetime)
    if user is None:
        raise Unauthenticated("The session has ended: sign in again.")
    return Visitor(user, token)


CurrentVisitor = Annotated[Visitor, Depends(visitor)]


def refuse_other_sites(request: Request) -> None:
    """Raise Forbidden for a request that another site's page made the browser send.

    Browsers say where a request comes from in `Sec-Fetch-Site` (Fetch Metadata); on plain HTTP they leave it out,
    and `Origin` has to do.
    """
    came_from = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if came_from is not None:
        foreign = came_from not in {"same-origin", "none"}
    else:
        foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
    if foreign:
        raise Forbidden("This request came from another site, so it was not carried out.")


async def trusted_visitor(request: Request, who: CurrentVisitor) -> Visitor:
    """The visitor, once it is sure that a page of ours sent the request; raises Forbidden before a body is stored.

    The word comes in the header `X-CSRF-Token`, or in the field `csrf_token` of a plain form.
    """
    refuse_other_sites(request)
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").partition(";")[0].strip() == FORM:
        given = str((await request.form()).get("csrf_token", ""))
    if given is None or not hmac.compare_digest(given.encode(), who.csrf.encode()):
        raise Forbidden("The form is stale: reload the page and try again.")
    return who


TrustedVisitor = Annotated[Visitor, Depends(trusted_visitor)]


def page_reader(who: CurrentVisitor, everyone: Annotated[bool, Query()] = False) -> Reader:
    """Through whose eyes the page looks; raises Forbidden when a user asks for everybody's jobs."""
    if everyone and not who.admin:
        raise Forbidden("Only an admin may look at everybody's jobs.")
    return Reader(who.user.id, everyone, who.admin)


PageReader = Annotated[Reader, Depends(page_reader)]
