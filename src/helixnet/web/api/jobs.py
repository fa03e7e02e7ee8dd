"""The jobs API."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, JsonValue

from helixnet.artifacts.schemas import ArtifactView
from helixnet.jobs import service
from helixnet.jobs.schemas import EventPage, JobAccepted, JobPage, JobSubmission, JobSummary, JobView, UploadAccepted
from helixnet.jobs.states import Status
from helixnet.web.deps import CurrentReader, CurrentUser, Platform
from helixnet.web.downloads import attachment
from helixnet.web.errors import SIGNED_IN, Conflict, NotFound, OverBudget, TooLarge, problems
from helixnet.web.lean import LeanRoute
from helixnet.web.upload import DEFAULT_PROCESSOR, submit_upload

# What is asked for most: to enter a job, and to look at one.
busy = APIRouter(prefix="/jobs", tags=["jobs"], route_class=LeanRoute)
router = APIRouter(prefix="/jobs", tags=["jobs"])

# Uploads are counted file by file, against HELIX_MAX_UPLOAD_BYTES, while they stream.
ANY_BODY_SIZE = 2**62

JobId = Annotated[UUID, Path(description="The job's id.")]

A_FILE: dict[str, JsonValue] = {"type": "string", "format": "binary"}

# Which files are needed is the processor's to say; the form names those that most of them read.
UPLOAD_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": (
                        "The files that the processor reads, each as a part called by its role, and the fields, in any "
                        "order. `GET /api/v1/processors/{name}` says which roles there are, which of them are "
                        "required, and what each takes. With `processor` first, a file that does not fit is refused "
                        "before it is stored."
                    ),
                    "properties": {
                        "processor": {"type": "string", "default": DEFAULT_PROCESSOR},
                        "params": {"type": "string", "description": "The processor's parameters, as JSON."},
                        "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 4},
                        "content_key": A_FILE | {"description": "What is worked on, for most processors."},
                        "context_key": A_FILE | {"description": "What the reader wants of it, for many."},
                        "schema_key": A_FILE | {"description": "What the content has to look like, for some."},
                        "template_key": A_FILE | {"description": "What the result is to look like, for some."},
                    },
                    "additionalProperties": A_FILE | {"description": "A file for another role of the processor."},
                }
            }
        },
    }
}


class Artifacts(BaseModel):
    items: list[ArtifactView]


@busy.post(
    "",
    summary="Submit a job",
    status_code=status.HTTP_201_CREATED,
    responses=problems(*SIGNED_IN, OverBudget, TooLarge),
)
async def submit(platform: Platform, user: CurrentUser, submission: JobSubmission) -> JobAccepted:
    """Submits a job by its processor, parameters, and references to files that are stored already."""
    if submission.inputs or submission.processor in platform.registry.metered:
        async with platform.database.transaction() as session:
            accepted = await service.submit(
                session, platform.registry, user.id, submission, budget=platform.settings.budget
            )
    else:
        accepted = await service.submit_without_files(platform.intake, platform.registry, user.id, submission)
    platform.tell(user.id, accepted.queue)
    return accepted.answer


@busy.get("/{job_id}", summary="Show a job", responses=problems(*SIGNED_IN, NotFound))
async def show(platform: Platform, reader: CurrentReader, job_id: JobId) -> JobView:
    """One job with its state, its result or its error."""
    async with platform.database.connection() as connection:
        return await service.get(
            connection,
            platform.blobs,
            reader,
            job_id,
            max_result_bytes=platform.settings.max_result_bytes,
            lease=platform.lease,
            metered=platform.registry.metered,
        )


@router.post(
    "/upload",
    summary="Hand over files and get a job",
    status_code=status.HTTP_201_CREATED,
    responses=problems(*SIGNED_IN, OverBudget, TooLarge),
    openapi_extra=UPLOAD_FORM,
    max_body_size=ANY_BODY_SIZE,
)
async def upload(platform: Platform, user: CurrentUser, request: Request) -> UploadAccepted:
    """Streams the files that the processor reads into storage and submits a job that reads them.

    After the 201 the job reaches a final state, whatever process, broker or machine dies on the way.
    """
    return await submit_upload(platform, request, user.id)


@router.get("", summary="List jobs", responses=problems(*SIGNED_IN))
async def list_jobs(
    platform: Platform,
    reader: CurrentReader,
    status: Annotated[Status | None, Query(description="Only jobs in this state.")] = None,
    processor: Annotated[str | None, Query(max_length=200, description="Only jobs of this processor.")] = None,
    cursor: Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many jobs at most.")] = 50,
) -> JobPage:
    """The caller's jobs, newest first, a page at a time."""
    async with platform.database.statement() as session:
        return await service.list_jobs(session, reader, status=status, processor=processor, cursor=cursor, limit=limit)


@router.get("/{job_id}/events", summary="A job's history", responses=problems(*SIGNED_IN, NotFound))
async def events(
    platform: Platform,
    reader: CurrentReader,
    job_id: JobId,
    after: Annotated[int, Query(ge=0, description="Only events with a higher `seq`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many events at most.")] = 200,
) -> EventPage:
    """Every change of state, progress step and log line, in order."""
    async with platform.database.statement() as session:
        return await service.events(session, reader, job_id, after, limit)


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    responses=problems(*SIGNED_IN, NotFound, Conflict),
)
async def cancel(platform: Platform, reader: CurrentReader, job_id: JobId) -> JobSummary:
    """A waiting job is CANCELLED at once. A running one gets `cancel_requested_at`; its worker stops it within 2 s."""
    async with platform.database.transaction() as session:
        job = await service.cancel(session, reader, job_id)
    platform.tell(job.owner_id)
    return job


@router.post("/{job_id}/retry", summary="Retry a job", responses=problems(*SIGNED_IN, NotFound, Conflict))
async def retry(platform: Platform, reader: CurrentReader, job_id: JobId) -> JobSummary:
    """Puts a FAILED or CANCELLED job back in line with fresh attempts."""
    async with platform.database.transaction() as session:
        job = await service.retry(session, platform.registry, reader, job_id)
    platform.tell(job.owner_id, job.queue)
    return job


@router.delete(
    "/{job_id}",
    summary="Delete a job",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(*SIGNED_IN, NotFound, Conflict),
)
async def delete(platform: Platform, reader: CurrentReader, job_id: JobId) -> Response:
    """Deletes a job that has ended, its history, and those of its files that no other job uses."""
    async with platform.database.transaction() as session:
        await service.delete(session, reader, job_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/{job_id}/artifacts", summary="A job's files", responses=problems(*SIGNED_IN, NotFound))
async def artifacts(platform: Platform, reader: CurrentReader, job_id: JobId) -> Artifacts:
    """Every stored input and output of a job, with size, media type and SHA-256."""
    async with platform.database.statement() as session:
        return Artifacts(items=await service.list_artifacts(session, reader, job_id))


@router.get(
    "/{job_id}/artifacts/{artifact_id}",
    summary="Download a file",
    response_class=StreamingResponse,
    responses=problems(*SIGNED_IN, NotFound)
    | {200: {"description": "The content.", "content": {"application/octet-stream": {}}}},
)
async def download(
    platform: Platform, reader: CurrentReader, job_id: JobId, artifact_id: Annotated[UUID, Path()]
) -> StreamingResponse:
    """The file's content, streamed."""
    async with platform.database.statement() as session:
        artifact = await service.artifact(session, reader, job_id, artifact_id)
    return await attachment(platform.blobs, artifact)
