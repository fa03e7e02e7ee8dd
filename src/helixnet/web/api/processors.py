"""The API of processors: which are installed, what they take, and what they may use."""

import hashlib
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Response
from pydantic import BaseModel

from helixnet.processors.registry import Registry
from helixnet.processors.schemas import ProcessorList, ProcessorView, view
from helixnet.web.deps import CurrentUser, Platform
from helixnet.web.errors import SIGNED_IN, NotFound, problems

router = APIRouter(prefix="/processors", tags=["processors"])

# What is kept has to be asked for again each time, by its tag: a release may bring other processors.
CACHE_CONTROL = "private, no-cache"
NOT_MODIFIED = 304

IfNoneMatch = Annotated[str, Header(max_length=1000, description="The `ETag` of an answer that was kept.")]
UNCHANGED: dict[int | str, dict[str, Any]] = {
    NOT_MODIFIED: {"description": "It is still as the kept answer with this `ETag` says."}
}


@router.get("", summary="List processors", response_model=ProcessorList, responses=problems(*SIGNED_IN) | UNCHANGED)
async def list_processors(platform: Platform, _user: CurrentUser, if_none_match: IfNoneMatch = "") -> Response:
    """Every installed processor, by name, with the JSON Schema of its parameters and the files that it reads."""
    return _answer(_all(platform.registry), if_none_match)


@router.get(
    "/{name}",
    summary="Show a processor",
    response_model=ProcessorView,
    responses=problems(*SIGNED_IN, NotFound) | UNCHANGED,
)
async def show(
    platform: Platform,
    _user: CurrentUser,
    name: Annotated[str, Path(max_length=200, description="The processor's name.")],
    if_none_match: IfNoneMatch = "",
) -> Response:
    """One processor."""
    if name not in platform.registry:
        raise NotFound(f"There is no processor {name!r}.")
    return _answer(_one(platform.registry, name), if_none_match)


@cache
def _all(registry: Registry) -> tuple[str, bytes]:
    """The whole list, which is the same for as long as the process lives, and its tag."""
    return _tagged(ProcessorList(items=[view(processor) for processor in registry]))


@cache
def _one(registry: Registry, name: str) -> tuple[str, bytes]:
    return _tagged(view(registry.get(name)))


def _tagged(model: BaseModel) -> tuple[str, bytes]:
    body = model.model_dump_json().encode()
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"', body


def _answer(tagged: tuple[str, bytes], kept: str) -> Response:
    tag, body = tagged
    headers = {"ETag": tag, "Cache-Control": CACHE_CONTROL}
    if tag in (each.strip().removeprefix("W/") for each in kept.split(",")):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
