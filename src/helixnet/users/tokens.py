"""Access tokens: signed JWTs that name a user for a while."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from helixnet.errors import Unauthenticated

ALGORITHM = "HS256"
ISSUER = "helixnet"
AUDIENCE = "helixnet-api"


def issue(user_id: UUID, secret: str, lifetime: timedelta) -> str:
    """A token for the user, signed with `secret`, good for `lifetime` from now."""
    now = datetime.now(UTC)
    claims = {"sub": str(user_id), "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, secret, ALGORITHM)


def read(token: str, secret: str) -> UUID:
    """The id of the user whom the token names; raises Unauthenticated when it is false or stale."""
    try:
        claims = jwt.decode(
            token,
            secret,
            [ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["sub", "exp", "iat", "iss", "aud"]},
        )
        return UUID(claims["sub"])
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("The access token has expired: sign in again.") from error
    except (jwt.InvalidTokenError, ValueError) as error:
        raise Unauthenticated("The access token is not valid: sign in again.") from error


def new_session_token() -> str:
    """A fresh secret for a browser's cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


def session_hash(token: str) -> bytes:
    """What the database keeps of a session's token."""
    return hashlib.sha256(token.encode()).digest()


def csrf_token(session_token: str) -> str:
    """The word that a form must bring along: derived from the session's secret, which no other site can read."""
    return hashlib.sha256(b"csrf:" + session_token.encode()).hexdigest()
