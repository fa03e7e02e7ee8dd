"""The form that submits a job: its fields are those that the chosen processor asks for."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from helixnet.processors.registry import InvalidParams
from helixnet.web.deps import Platform
from helixnet.web.pages import params
from helixnet.web.pages.guard import SEE_OTHER, PageRoute, by_htmx
from helixnet.web.pages.render import page
from helixnet.web.pages.visitor import CurrentVisitor, TrustedVisitor
from helixnet.web.state import State
from helixnet.web.upload import OwnFields, submit_upload

# Uploads are counted file by file, against HELIX_MAX_UPLOAD_BYTES, while they stream.
ANY_BODY_SIZE = 2**62
OWN_FIELDS = OwnFields(params.knows, params.read)

router = APIRouter(prefix="/jobs", route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class FileField:
    """A file that the processor reads, as a field. `largest` is in bytes, `limit` what the role itself allows."""

    role: str
    label: str
    help: str
    required: bool
    accept: str
    largest: int
    limit: int | None


def asked(platform: State, name: str | None) -> dict[str, Any] | None:
    """What the form asks for of a processor (with None, the first there is); None where none is installed.

    Raises Invalid for one that is not there.
    """
    processor = platform.registry.get(name) if name is not None else next(iter(platform.registry), None)
    if processor is None:
        return None
    most = platform.settings.max_upload_bytes
    files = [
        FileField(
            role=role,
            label=role.removesuffix("_key").replace("_", " ").capitalize(),
            help=about.description,
            required=about.required,
            accept=",".join(about.media_types),
            largest=min(most, about.max_bytes or most),
            limit=about.max_bytes,
        )
        for role, about in processor.inputs.items()
    ]
    return {"processor": processor, "files": files, "fields": params.fields(processor)}


@router.get("/form")
async def show_fields(
    request: Request,
    platform: Platform,
    _who: CurrentVisitor,
    processor: Annotated[str, Query(max_length=200)],
) -> Response:
    """The fields for a processor, when another is chosen."""
    if not by_htmx(request):
        return RedirectResponse("/", SEE_OTHER)
    return page("parts/asked.html", asked=asked(platform, processor))


@router.post("", max_body_size=ANY_BODY_SIZE)
async def submit(request: Request, platform: Platform, who: TrustedVisitor) -> Response:
    """Take the form's files and submit a job; the word against forgery came in a header, before them."""
    try:
        accepted = await submit_upload(platform, request, who.user.id, OWN_FIELDS)
    except InvalidParams as error:
        if not by_htmx(request) or error.processor not in platform.registry:
            raise
        return _violations(platform, error)
    if not by_htmx(request):
        return RedirectResponse(f"/jobs/{accepted.job_id}", SEE_OTHER)
    return page("parts/submitted.html", 201, {"HX-Trigger": "submitted"}, job_id=accepted.job_id)


def _violations(platform: State, error: InvalidParams) -> Response:
    """What does not fit, beside the fields that it is about; the rest of it in the place for messages."""
    fields = params.fields(platform.registry.get(error.processor))
    told: dict[str, list[str]] = {field.name: [] for field in fields}
    others = []
    for violation in error.violations:
        path, message = violation["path"], violation["message"]
        at = next((name for name in told if path == name or path.startswith(f"{name}.")), None)
        if at is None:
            others.append(f"{path}: {message}" if path else message)
        else:
            told[at].append(message if path == at else f"{path.removeprefix(f'{at}.')}: {message}")
    headers = {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
    words = list(told.values())
    return page("parts/violations.html", error.status, headers, message=error.message, others=others, told=words)
