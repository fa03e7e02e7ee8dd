"""A job on a HelixNet somewhere, through HTTP: signed in, handed over, watched, and its files fetched."""

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import orjson
import typer

from helixnet.artifacts.schemas import ArtifactView
from helixnet.cli.run import FAILED, INTERRUPTED, REFUSED
from helixnet.cli.shown import Shown, as_text
from helixnet.client import Client, ProblemError
from helixnet.errors import Invalid
from helixnet.jobs.schemas import EventView, JobView
from helixnet.jobs.states import Status

RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the job: by an access token, or by an e-mail and the password that belongs to it."""

    token: str
    email: str

    def enter(self, client: Client) -> None:
        """Sign in, unless a token says who it is."""
        if self.token:
            return
        if not self.email:
            raise typer.BadParameter("name who signs in by --email or --token", param_hint="--url")
        password = os.environ.get("HELIX_PASSWORD") or _asked()
        client.sign_in(self.email, password)


def _asked() -> str:
    """Never from the command line, which everybody on the machine can read."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def run(
    url: str, account: Account, name: str, files: Mapping[str, Path], params: dict[str, Any], out: Path | None
) -> int:
    """Run a job there, show how it goes on standard error and its result on standard output; answers the exit code."""
    shown = Shown()
    job_id: UUID | None = None
    try:
        with Client(url, account.token or None) as client:
            account.enter(client)
            job_id = _submit(client, name, files, params)
            shown.line(f"      job {job_id}")
            job = _watched(client, job_id, shown)
            if job.status is not Status.COMPLETED:
                _tell(job, shown)
                return FAILED
            print(as_text(_results(client, job, out, shown)), flush=True)
    except ProblemError as problem:
        shown.refusal(f"{problem.detail} ({problem.status} {problem.code})", problem.fields)
        return REFUSED
    except Invalid as error:
        shown.refusal(error.message, error.fields)
        return REFUSED
    except httpx2.TransportError as error:
        shown.line(f"helix: {url} could not be reached: {error}")
        _goes_on(job_id, shown)
        return FAILED
    except KeyboardInterrupt:
        _goes_on(job_id, shown)
        return INTERRUPTED
    return 0


def _goes_on(job_id: UUID | None, shown: Shown) -> None:
    """Whatever becomes of this command: what was accepted is done."""
    if job_id is not None:
        shown.line(f"The job {job_id} goes on.")


def _submit(client: Client, name: str, files: Mapping[str, Path], params: dict[str, Any]) -> UUID:
    for role, path in files.items():
        if not path.is_file():
            raise Invalid(f"{role}: there is no file {path}.")
    if not files:
        return client.submit(name, params).job_id
    return client.upload(files=files, processor=name, params=orjson.dumps(params).decode()).job_id


def _watched(client: Client, job_id: UUID, shown: Shown) -> JobView:
    """The job once it has ended; what happens to it is shown."""
    seen = 0

    def watch(_job: JobView) -> None:
        nonlocal seen
        while True:
            page = client.events(job_id, after=seen)
            for event in page.items:
                _show(event, shown)
                seen = event.seq
            if page.next_after is None:
                return

    return client.wait(job_id, math.inf, watch)


def _show(event: EventView, shown: Shown) -> None:
    data = event.data or {}
    match event.kind:
        case "PROGRESS":
            shown.progress(float(data.get("fraction", 0)), str(data.get("message", "")))
        case "LOG":
            shown.log(str(data.pop("message", "")), data)
        case "OUTPUT":
            shown.text(str(data.get("text", "")))
        case "PENDING" if isinstance(error := data.get("error"), dict):
            wait = f"{float(data.get('delay_seconds') or 0):.1f} s"
            shown.line(f"      attempt {event.attempt} failed: {error.get('message', '')} It is tried again in {wait}.")
        case "IN_PROGRESS":
            shown.line(f"      attempt {event.attempt} begins")


def _tell(job: JobView, shown: Shown) -> None:
    """Why there is no result."""
    if job.error is None:
        shown.line(f"{job.status}: the job has no result.")
    else:
        shown.failure(job.error.model_dump(exclude_none=True))


def _results(client: Client, job: JobView, out: Path | None, shown: Shown) -> object:
    """The whole result; with a folder, its files are fetched to there."""
    written = [one for one in client.artifacts(job.job_id) if one.direction == "output" and one.attempt == job.attempt]
    result: object = job.result_content
    for one in written:
        if one.filename == RESULT:
            result = orjson.loads(b"".join(client.download(job.job_id, one.id)))
    if out is None:
        for one in written:
            if one.filename != RESULT:
                shown.line(f"   ·  {one.filename}  {one.media_type}, {one.size:,} bytes (--out FOLDER fetches it)")
        return result
    out.mkdir(parents=True, exist_ok=True)
    for one in written:
        if one.filename != RESULT:
            _fetch(client, job.job_id, one, out, shown)
    (out / RESULT).write_bytes(orjson.dumps(result))
    return result


def _fetch(client: Client, job_id: UUID, artifact: ArtifactView, out: Path, shown: Shown) -> None:
    """An artifact as a file of the folder, whole or not at all."""
    name = artifact.filename
    if name in ("", ".", "..") or "/" in name or "\x00" in name:
        shown.line(f"   ·  an artifact called {name!r} is left where it is")
        return
    half = out / f".{artifact.id}.part"
    try:
        with half.open("wb") as file:
            file.writelines(client.download(job_id, artifact.id))
        half.replace(out / name)
    finally:
        half.unlink(missing_ok=True)
    shown.line(f"   ⬇  {out / name}  {artifact.media_type}, {artifact.size:,} bytes")
