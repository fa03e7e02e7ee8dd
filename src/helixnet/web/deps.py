"""What routes ask for: the process's parts, and who is asking."""

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import OAuth2PasswordBearer

from helixnet.errors import Forbidden
from helixnet.jobs.service import Reader
from helixnet.users.models import User
from helixnet.users.schemas import Role
from helixnet.web.state import State

API = "/api/v1"

oauth2 = OAuth2PasswordBearer(tokenUrl=f"{API}/auth/token")


# All of them are coroutines: a plain function would be sent to a thread, at more cost than all that it does.
async def state(request: Request) -> State:
    """The parts of this web process."""
    held: State = request.app.state.helix
    return held


Platform = Annotated[State, Depends(state)]


async def current_user(platform: Platform, token: Annotated[str, Depends(oauth2)]) -> User:
    """The user whom the access token names; raises Unauthenticated."""
    return await platform.callers.by_token(token)


CurrentUser = Annotated[User, Depends(current_user)]


async def reader(
    user: CurrentUser,
    everyone: Annotated[
        bool, Query(description="For an admin: look at everybody's jobs, not only at the own ones.")
    ] = False,
) -> Reader:
    """Through whose eyes the request looks; raises Forbidden when a user asks for everybody's jobs."""
    admin = user.role == Role.ADMIN
    if everyone and not admin:
        raise Forbidden("Only an admin may look at everybody's jobs.")
    return Reader(user.id, everyone, admin)


CurrentReader = Annotated[Reader, Depends(reader)]
