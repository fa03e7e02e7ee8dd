"""Sign-in for programs: the OAuth2 password form, and who one is."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm

from helixnet.users import service as users
from helixnet.users import tokens
from helixnet.users.models import User
from helixnet.users.schemas import TokenAnswer, UserView
from helixnet.web.deps import CurrentUser, Platform
from helixnet.web.errors import SIGNED_IN, problems

router = APIRouter(tags=["accounts"])


@router.post("/auth/token", summary="Sign in for an access token", responses=problems(*SIGNED_IN))
async def token(platform: Platform, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> TokenAnswer:
    """Takes the OAuth2 password form, where `username` is the e-mail, and answers a bearer token."""
    async with platform.database.transaction() as session:
        user = await users.authenticate(session, form.username, form.password)
    lifetime = timedelta(seconds=platform.settings.access_token_seconds)
    secret = platform.settings.secret_key.get_secret_value()
    return TokenAnswer(access_token=tokens.issue(user.id, secret, lifetime), expires_in=int(lifetime.total_seconds()))


@router.get("/users/me", summary="Who is signed in", response_model=UserView, responses=problems(*SIGNED_IN))
async def me(user: CurrentUser) -> User:
    """The account that the access token belongs to."""
    return user
