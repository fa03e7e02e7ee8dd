"""Who calls: whom an access token names, remembered for a moment."""

import time

from helixnet.db import Database
from helixnet.users import service as users
from helixnet.users.models import User

# An account that was made inactive is refused after this time at the latest.
REMEMBERED_SECONDS = 1.0
MOST_REMEMBERED = 10_000


class Callers:
    """The users behind access tokens. A client that calls often is looked up once a second."""

    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._secret = secret
        self._known: dict[str, tuple[float, User]] = {}

    async def by_token(self, token: str) -> User:
        """The active user whom the token names; raises Unauthenticated."""
        known = self._known.get(token)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        async with self._database.statement() as session:
            user = await users.by_token(session, token, self._secret)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[token] = (time.monotonic() + REMEMBERED_SECONDS, user)
        return user
