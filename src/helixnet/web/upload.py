"""Uploads: files of a form go straight into storage as they arrive, then the job enters the ledger."""

import contextlib
import mimetypes
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from helixnet.artifacts import service as artifacts
from helixnet.artifacts.service import NewArtifact
from helixnet.errors import Invalid, TooLarge, violations
from helixnet.jobs import service as jobs
from helixnet.jobs.schemas import JobSubmission, UploadAccepted
from helixnet.processors.base import UNKNOWN_MEDIA_TYPE, Processor
from helixnet.processors.registry import check_files, check_known
from helixnet.web.multipart import MultipartForm, Part
from helixnet.web.state import State

# Roles that are known whatever is installed: the answer names them.
ROLES = ("content_key", "context_key", "schema_key", "template_key")
FIELDS = frozenset({"processor", "params", "priority"})
FILE_PREFIX = "file."
DEFAULT_PROCESSOR = "text.analyze"
LONGEST_MEDIA_TYPE = 200

# Makes parameters of the fields of a form that are none of ours.
ReadParams = Callable[[Processor, Mapping[str, str]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OwnFields:
    """The fields of a page's form beside those that every upload has: which ones, and how they become parameters.

    Its files are called `file.` and the role: a field called `action`, say, would hide the form's own.
    """

    know: Callable[[str], bool]
    read: ReadParams


async def submit_upload(
    platform: State, request: Request, owner_id: UUID, own: OwnFields | None = None
) -> UploadAccepted:
    """Store the form's files and submit their job; answers once the job is in the ledger, and rings.

    The parts may come in any order. Raises Invalid and TooLarge; then nothing of the upload is kept.
    """
    job_id = jobs.new_job_id()
    prefix = jobs.job_prefix(owner_id, job_id) + "inputs/"
    form = MultipartForm(request.headers.get("content-type", ""), request.stream())
    async with platform.database.transaction() as session:
        await artifacts.announce(session, prefix)
    try:
        received = _Received(platform, owner_id, job_id, own)
        async for part in form.parts():
            await received.take(part)
        submission = received.submission()
        async with platform.database.transaction() as session:
            accepted = await jobs.submit(
                session,
                platform.registry,
                owner_id,
                submission,
                job_id=job_id,
                uploaded=received.files,
                budget=platform.settings.budget,
            )
            await artifacts.settle(session, prefix)
    except BaseException:
        # Kept promise or not, the announcement stands: this only brings the appointment forward.
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with platform.database.transaction() as session:
                await artifacts.announce(session, prefix, timedelta(0))
        raise
    platform.tell(owner_id, accepted.queue)
    payload = accepted.answer.payload
    return UploadAccepted(**accepted.answer.model_dump(), **{role: payload.get(role) for role in ROLES})


@dataclass(slots=True)
class _Received:
    """What has come of a form so far."""

    platform: State
    owner_id: UUID
    job_id: UUID
    own: OwnFields | None
    files: dict[str, NewArtifact] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    processor: Processor | None = None  # once it is known
    room: int = field(init=False)  # bytes that the fields may still have, all together

    def __post_init__(self) -> None:
        self.room = self.platform.settings.max_body_bytes

    async def take(self, part: Part) -> None:
        """Take the next part: a file into storage, a field into memory."""
        if part.name in self.seen:
            raise Invalid(f"The form has two parts called {part.name!r}.")
        self.seen.add(part.name)
        if part.name in FIELDS or (self.own is not None and self.own.know(part.name)):
            text = self.fields[part.name] = await part.text(self.room)
            self.room -= len(text.encode())
            if part.name == "processor":
                self._choose(text)
        elif self._is_a_role(role := part.name.removeprefix(FILE_PREFIX) if self.own else part.name):
            await self._store(role, part)
        else:
            raise Invalid(f"The form has a part {part.name!r} that no processor here reads.")

    def submission(self) -> JobSubmission:
        """The job that the fields ask for. Raises Invalid."""
        values: dict[str, Any] = {"processor": self.fields.get("processor") or DEFAULT_PROCESSOR}
        values["params"] = self._params()
        if self.fields.get("priority"):
            values["priority"] = self.fields["priority"]
        try:
            return JobSubmission.model_validate(values)
        except ValidationError as error:
            found = violations(error.errors(include_url=False, include_input=False))
            raise Invalid("A field of the form does not fit.", violations=found) from None

    def _params(self) -> Any:
        if self.fields.get("params"):
            try:
                return orjson.loads(self.fields["params"])
            except orjson.JSONDecodeError as error:
                raise Invalid(f"params is not JSON: {error}.") from None
        if self.own is None:
            return {}
        chosen = self.processor or self.platform.registry.get(DEFAULT_PROCESSOR)
        return self.own.read(chosen, self.fields)

    def _choose(self, name: str) -> None:
        """What has come before the processor was known is held against it now."""
        self.processor = self.platform.registry.get(name or DEFAULT_PROCESSOR)
        check_known(self.processor, self.files)
        check_files(self.processor, self.files)

    def _is_a_role(self, name: str) -> bool:
        return name in ROLES or any(name in processor.inputs for processor in self.platform.registry)

    async def _store(self, role: str, part: Part) -> None:
        if role in self.files:
            raise Invalid(f"The form has two files for {role}.")
        content = part.stream()
        first = await anext(content, b"")
        if not first and not part.filename:
            return  # a browser sends a file field that was left empty as a nameless file of no bytes
        filename = _plain_filename(part.filename or role)
        media_type = part.content_type or mimetypes.guess_type(filename)[0] or UNKNOWN_MEDIA_TYPE
        about = _About(filename, _plain(media_type)[:LONGEST_MEDIA_TYPE])
        limit = self.platform.settings.max_upload_bytes
        longest = limit
        if self.processor is not None:
            check_known(self.processor, [role])
            check_files(self.processor, {role: about})
            longest = min(limit, self.processor.inputs[role].max_bytes or limit)
        key = jobs.input_key(self.owner_id, self.job_id, role, filename)
        source = _whole(first, content)
        try:
            self.files[role] = await artifacts.put(
                self.platform.blobs, key, source, filename, about.media_type, longest
            )
        except TooLarge:
            if self.processor is None or longest == limit:
                raise
            takes = f"{self.processor.name} takes at most {longest:,}"
            raise TooLarge(f"{role}: {filename} has more than {longest:,} bytes; {takes}.") from None


@dataclass(frozen=True, slots=True)
class _About:
    """What is known of a file when it begins to arrive."""

    filename: str
    media_type: str
    size: int = 0


async def _whole(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _plain_filename(name: str) -> str:
    """The last step of the path that some browsers send, without control characters."""
    return _plain(name.replace("\\", "/").rpartition("/")[2])[-255:] or "file"


def _plain(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()
