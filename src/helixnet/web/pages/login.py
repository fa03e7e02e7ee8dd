"""Sign in, sign out."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from helixnet.errors import Unauthenticated
from helixnet.users import service as users
from helixnet.web.deps import Platform
from helixnet.web.pages.guard import SEE_OTHER, PageRoute, local_path
from helixnet.web.pages.render import page
from helixnet.web.pages.visitor import (
    TrustedVisitor,
    drop_cookie,
    keep_cookie,
    refuse_other_sites,
    session_token,
    visitor,
)

router = APIRouter(route_class=PageRoute)


@router.get("/login")
async def show(request: Request, platform: Platform, next: str = "/") -> Response:  # noqa: A002 - the address's word
    try:
        await visitor(request, platform)
    except Unauthenticated:
        return page(
            "login.html", development=platform.settings.development, email="", next=local_path(next), problem=""
        )
    return RedirectResponse(local_path(next), SEE_OTHER)


# A sign-in has no session yet that a token could be derived from: where the request comes from must do.
@router.post("/login", dependencies=[Depends(refuse_other_sites)])
async def sign_in(
    request: Request,
    platform: Platform,
    email: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002
) -> Response:
    settings = platform.settings
    try:
        async with platform.database.transaction() as session:
            user = await users.authenticate(session, email, password)
            # A session from before is not carried over: nobody can plant one and wait for its owner to sign in.
            if before := session_token(request, settings):
                await users.close_session(session, before)
            token = await users.open_session(session, user.id, timedelta(seconds=settings.session_seconds))
    except Unauthenticated as error:
        return page(
            "login.html",
            error.status,
            development=settings.development,
            email=email,
            next=local_path(next),
            problem=error.message,
        )
    response = RedirectResponse(local_path(next), SEE_OTHER)
    keep_cookie(response, settings, token)
    return response


@router.post("/logout")
async def sign_out(platform: Platform, who: TrustedVisitor) -> Response:
    async with platform.database.transaction() as session:
        await users.close_session(session, who.token)
    response = RedirectResponse("/login", SEE_OTHER)
    drop_cookie(response, platform.settings)
    return response
