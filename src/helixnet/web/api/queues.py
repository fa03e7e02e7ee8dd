"""The API of queues: how they stand, for everybody; pausing and limits, for admins."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from helixnet.errors import Forbidden
from helixnet.jobs import queues
from helixnet.jobs.schemas import QueueChange, QueueList, QueueView
from helixnet.users.models import User
from helixnet.users.schemas import Role
from helixnet.web.deps import CurrentUser, Platform
from helixnet.web.errors import SIGNED_IN, NotFound, problems

router = APIRouter(prefix="/queues", tags=["queues"])

QueueName = Annotated[str, Path(max_length=200, description="The queue's name.")]


async def admin(user: CurrentUser) -> User:
    """The caller, who must be an admin; raises Forbidden."""
    if user.role != Role.ADMIN:
        raise Forbidden("Only an admin may change a queue.")
    return user


@router.get("", summary="List queues", responses=problems(*SIGNED_IN))
async def list_queues(platform: Platform, _user: CurrentUser) -> QueueList:
    """Every queue that has ever had a job, with what waits and what runs."""
    async with platform.database.statement() as session:
        return QueueList(items=await queues.list_queues(session, platform.lease))


@router.post(
    "/{name}/pause",
    summary="Pause a queue",
    dependencies=[Depends(admin)],
    responses=problems(*SIGNED_IN, NotFound),
)
async def pause(platform: Platform, name: QueueName) -> QueueView:
    """Nothing in the queue is started any more; what runs goes on."""
    async with platform.database.transaction() as session:
        return await queues.pause(session, name, platform.lease, paused=True)


@router.post(
    "/{name}/resume",
    summary="Resume a queue",
    dependencies=[Depends(admin)],
    responses=problems(*SIGNED_IN, NotFound),
)
async def resume(platform: Platform, name: QueueName) -> QueueView:
    """Work in the queue is started again."""
    async with platform.database.transaction() as session:
        view = await queues.pause(session, name, platform.lease, paused=False)
    platform.ringer.ring(name)
    return view


@router.patch(
    "/{name}", summary="Limit a queue", dependencies=[Depends(admin)], responses=problems(*SIGNED_IN, NotFound)
)
async def limit(platform: Platform, name: QueueName, change: QueueChange) -> QueueView:
    """Sets how many of its jobs, and how many of each owner's, may run at once; null takes a limit away."""
    async with platform.database.transaction() as session:
        view = await queues.limit(session, name, platform.lease, change)
    platform.ringer.ring(name)
    return view
