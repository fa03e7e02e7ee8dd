"""Whether the process lives, and whether it can serve."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from helixnet.errors import Unavailable
from helixnet.web.deps import Platform
from helixnet.web.errors import problems

router = APIRouter(tags=["health"])

PATIENCE_SECONDS = 3


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(Alive):
    database: Literal["ok"] = "ok"
    storage: Literal["ok"] = "ok"
    version: str = Field(examples=["1.3.0"])


@router.get("/livez", summary="The process lives")
async def livez() -> Alive:
    """Answers as long as the process can answer at all."""
    return Alive()


@router.get("/readyz", summary="The process can serve", responses=problems(Unavailable))
async def readyz(platform: Platform, response: Response) -> Ready:
    """Asks the database and the object store. The broker is not asked: without it, jobs are still accepted."""
    response.headers["Cache-Control"] = "no-store"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async with platform.database.transaction() as session:
                await session.execute(text("SELECT 1 FROM jobs LIMIT 0"))
            await platform.blobs.check()
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise Unavailable("The database or the object store does not answer.") from error
    return Ready(version=platform.version)
