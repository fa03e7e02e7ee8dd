"""Uploads: files of a form go straight into storage as they arrive, then the job enters the ledger."""

import contextlib
import mimetypes
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from helixnet.artifacts import service as artifacts
from helixnet.artifacts.service import NewArtifact
from helixnet.errors import Invalid, violations
from helixnet.jobs import service as jobs
from helixnet.jobs.schemas import JobSubmission, UploadAccepted
from helixnet.web.multipart import MultipartForm, Part
from helixnet.web.state import State

REQUIRED = ("content_key", "context_key")
OPTIONAL = ("schema_key", "template_key")
FIELDS = ("processor", "params", "priority")
DEFAULT_PROCESSOR = "text.analyze"
LONGEST_MEDIA_TYPE = 200

FieldCheck = Callable[[str, str], None]


async def submit_upload(
    platform: State, request: Request, owner_id: UUID, *, check: FieldCheck | None = None
) -> UploadAccepted:
    """Store the form's files and submit their job; answers once the job is in the ledger, and rings.

    `check(name, value)` is asked about fields that are none of ours. Raises Invalid and TooLarge; then nothing of
    the upload is kept.
    """
    job_id = jobs.new_job_id()
    prefix = jobs.job_prefix(owner_id, job_id) + "inputs/"
    form = MultipartForm(request.headers.get("content-type", ""), request.stream())
    async with platform.database.transaction() as session:
        await artifacts.announce(session, prefix)
    try:
        files, fields = await _receive(platform, form, owner_id, job_id, check)
        submission = _submission(fields)
        async with platform.database.transaction() as session:
            accepted = await jobs.submit(
                session, platform.registry, owner_id, submission, job_id=job_id, uploaded=files
            )
            await artifacts.settle(session, prefix)
    except BaseException:
        # Kept promise or not, the announcement stands: this only brings the appointment forward.
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with platform.database.transaction() as session:
                await artifacts.announce(session, prefix, timedelta(0))
        raise
    platform.tell(owner_id, accepted.queue)
    return UploadAccepted(**accepted.answer.model_dump(), **accepted.answer.payload)


async def _receive(
    platform: State, form: MultipartForm, owner_id: UUID, job_id: UUID, check: FieldCheck | None
) -> tuple[dict[str, NewArtifact], dict[str, str]]:
    files: dict[str, NewArtifact] = {}
    fields: dict[str, str] = {}
    async for part in form.parts():
        if part.name in files or part.name in fields:
            raise Invalid(f"The form has two parts called {part.name!r}.")
        if part.name in REQUIRED or part.name in OPTIONAL:
            stored = await _store(platform, part, owner_id, job_id)
            # A browser sends a file field that was left empty as a nameless file of no bytes.
            if stored.size or part.filename:
                files[part.name] = stored
        elif part.name in FIELDS:
            fields[part.name] = await part.text(platform.settings.max_body_bytes)
        elif check is not None:
            check(part.name, await part.text(platform.settings.max_body_bytes))
        else:
            raise Invalid(f"The form has a part {part.name!r} that this route does not know.")
    missing = [role for role in REQUIRED if role not in files]
    if missing:
        raise Invalid(f"The form lacks the file {' and '.join(missing)}.")
    return files, fields


async def _store(platform: State, part: Part, owner_id: UUID, job_id: UUID) -> NewArtifact:
    filename = _plain_filename(part.filename or part.name)
    media_type = part.content_type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return await artifacts.put(
        platform.blobs,
        jobs.input_key(owner_id, job_id, part.name, filename),
        part.stream(),
        filename,
        _plain(media_type)[:LONGEST_MEDIA_TYPE],
        platform.settings.max_upload_bytes,
    )


def _submission(fields: dict[str, str]) -> JobSubmission:
    values: dict[str, Any] = {"processor": fields.get("processor") or DEFAULT_PROCESSOR}
    if fields.get("params"):
        try:
            values["params"] = orjson.loads(fields["params"])
        except orjson.JSONDecodeError as error:
            raise Invalid(f"params is not JSON: {error}.") from None
    if fields.get("priority"):
        values["priority"] = fields["priority"]
    try:
        return JobSubmission.model_validate(values)
    except ValidationError as error:
        found = violations(error.errors(include_url=False, include_input=False))
        raise Invalid("A field of the form does not fit.", violations=found) from None


def _plain_filename(name: str) -> str:
    """The last step of the path that some browsers send, without control characters."""
    return _plain(name.replace("\\", "/").rpartition("/")[2])[-255:] or "file"


def _plain(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()
