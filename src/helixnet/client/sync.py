"""The blocking client."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

import httpx2

from helixnet.artifacts.schemas import ArtifactView
from helixnet.jobs.schemas import (
    BatchAccepted,
    BatchView,
    Changed,
    EventPage,
    FailureList,
    JobAccepted,
    JobPage,
    JobSelection,
    JobSubmission,
    JobSummary,
    JobView,
    Matched,
    QueueList,
    QueueView,
    UploadAccepted,
)
from helixnet.jobs.states import FINAL
from helixnet.processors.schemas import ProcessorList, ProcessorView
from helixnet.users.schemas import TokenAnswer, UserView

API = "/api/v1"
FIRST_LOOK_SECONDS = 0.05
LONGEST_LOOK_SECONDS = 1.0


class ProblemError(Exception):
    """The server's answer was a problem (RFC 9457): `status`, `code` and `detail` say which."""

    def __init__(self, status: int, code: str, detail: str, fields: dict[str, Any]) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.fields = fields


class Client:
    """A connection to one HelixNet. Every method raises ProblemError, and httpx2.TransportError for the way there."""

    def __init__(self, url: str, token: str | None = None, timeout_seconds: float = 30) -> None:
        self._http = httpx2.Client(base_url=url.rstrip("/"), timeout=timeout_seconds)
        if token:
            self._http.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def sign_in(self, email: str, password: str) -> TokenAnswer:
        """Sign in; later calls carry the token."""
        answer = TokenAnswer.model_validate(
            self._call("POST", "/auth/token", data={"username": email, "password": password})
        )
        self._http.headers["Authorization"] = f"Bearer {answer.access_token}"
        return answer

    def me(self) -> UserView:
        return UserView.model_validate(self._call("GET", "/users/me"))

    def processors(self) -> list[ProcessorView]:
        """Every installed processor, with the JSON Schema of its parameters and the files that it reads."""
        return ProcessorList.model_validate(self._call("GET", "/processors")).items

    def processor(self, name: str) -> ProcessorView:
        """One of them."""
        return ProcessorView.model_validate(self._call("GET", f"/processors/{quote(name, safe='')}"))

    def upload(
        self,
        *,
        content: Path | None = None,
        context: Path | None = None,
        files: Mapping[str, Path] | None = None,
        **fields: str,
    ) -> UploadAccepted:
        """Hand over files for a job: the content, the context, and `files` of other roles, as the processor asks for.

        `fields`: `processor`, `params` (JSON text), `priority`.
        """
        paths = {"content_key": content, "context_key": context} | dict(files or {})
        with ExitStack() as opened:
            # The fields come first on the way: a file that does not fit is refused before it is stored.
            parts = {
                role: (path.name, opened.enter_context(path.open("rb")))
                for role, path in paths.items()
                if path is not None
            }
            return UploadAccepted.model_validate(self._call("POST", "/jobs/upload", files=parts, data=fields))

    def submit(self, processor: str, params: dict[str, Any] | None = None, **options: Any) -> JobAccepted:
        """Submit a job; `options` are the further fields of JobSubmission."""
        submission = JobSubmission(processor=processor, params=params or {}, **options)
        return JobAccepted.model_validate(self._call("POST", "/jobs", json=submission.model_dump(mode="json")))

    def submit_batch(self, submissions: Iterable[JobSubmission], *, partial: bool = False) -> BatchAccepted:
        """Submit up to 10,000 jobs together: all or none, or with `partial` those that are right."""
        lines = b"".join(
            submission.model_dump_json(exclude_defaults=True).encode() + b"\n" for submission in submissions
        )
        headers = {"Content-Type": "application/x-ndjson"}
        query = {"partial": partial}
        return BatchAccepted.model_validate(
            self._call("POST", "/jobs/batch", content=lines, headers=headers, params=query)
        )

    def batch(self, batch_id: UUID) -> BatchView:
        """A batch with the counts of its jobs by state."""
        return BatchView.model_validate(self._call("GET", f"/batches/{batch_id}"))

    def cancel_batch(self, batch_id: UUID) -> int:
        """Cancel what has not ended; answers how many jobs it concerned."""
        return Changed.model_validate(self._call("POST", f"/batches/{batch_id}/cancel")).count

    def retry_batch(self, batch_id: UUID) -> int:
        """Put FAILED and CANCELLED jobs back in line; answers how many."""
        return Changed.model_validate(self._call("POST", f"/batches/{batch_id}/retry")).count

    def jobs(self, **query: str | int | bool) -> JobPage:
        """A page of jobs; `query`: `status`, `processor`, `cursor`, `limit`, `everyone`."""
        return JobPage.model_validate(self._call("GET", "/jobs", params=query))

    def job(self, job_id: UUID) -> JobView:
        return JobView.model_validate(self._call("GET", f"/jobs/{job_id}"))

    def events(self, job_id: UUID, after: int = 0, limit: int = 200) -> EventPage:
        query = {"after": after, "limit": limit}
        return EventPage.model_validate(self._call("GET", f"/jobs/{job_id}/events", params=query))

    def wait(
        self,
        job_id: UUID,
        timeout_seconds: float = 600,
        watch: Callable[[JobView], None] | None = None,
        until: Collection[str] = FINAL,
    ) -> JobView:
        """The job once it has ended, or is in one of the states `until`; `watch` sees every look at it.

        Raises TimeoutError.
        """
        end = time.monotonic() + timeout_seconds
        pause = FIRST_LOOK_SECONDS
        while True:
            job = self.job(job_id)
            if watch is not None:
                watch(job)
            if job.status in until:
                return job
            if time.monotonic() >= end:
                raise TimeoutError(f"job {job_id} is still {job.status} after {timeout_seconds:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)

    def cancel(self, job_id: UUID) -> JobSummary:
        return JobSummary.model_validate(self._call("POST", f"/jobs/{job_id}/cancel"))

    def retry(self, job_id: UUID) -> JobSummary:
        return JobSummary.model_validate(self._call("POST", f"/jobs/{job_id}/retry"))

    def replay(self, job_id: UUID) -> JobAccepted:
        """Run a job anew, as a new job."""
        return JobAccepted.model_validate(self._call("POST", f"/jobs/{job_id}/replay"))

    def cancel_all(self, *, everyone: bool = False, **conditions: Any) -> int:
        """Cancel all jobs that meet the conditions (fields of JobSelection) and have not ended; answers how many."""
        return self._command("cancel", everyone, conditions)

    def retry_all(self, *, everyone: bool = False, **conditions: Any) -> int:
        """Put all FAILED and CANCELLED jobs that meet the conditions back in line; answers how many."""
        return self._command("retry", everyone, conditions)

    def replay_all(self, *, everyone: bool = False, **conditions: Any) -> int:
        """Run all jobs that meet the conditions and have ended anew, as new jobs; answers how many."""
        return self._command("replay", everyone, conditions)

    def _command(self, verb: str, everyone: bool, conditions: dict[str, Any]) -> int:
        """As many calls as it takes, each a transaction of its own."""
        count, selection = 0, JobSelection(**conditions)
        while True:
            body = selection.model_dump(mode="json", exclude_none=True)
            answer = self._call("POST", f"/jobs/{verb}", json=body, params={"everyone": everyone})
            matched = Matched.model_validate(answer)
            count += matched.count
            if matched.next_cursor is None:
                return count
            selection = selection.model_copy(update={"cursor": matched.next_cursor})

    def failures(self, *, everyone: bool = False) -> FailureList:
        """FAILED jobs by what failed and where, with counts."""
        return FailureList.model_validate(self._call("GET", "/failures", params={"everyone": everyone}))

    def failed_alike(self, fingerprint: str, **query: str | int | bool) -> JobPage:
        """A page of the jobs that FAILED in this way; `query`: `cursor`, `limit`, `everyone`."""
        return JobPage.model_validate(self._call("GET", f"/failures/{fingerprint}", params=query))

    def queues(self) -> list[QueueView]:
        """Every queue and how it stands."""
        return QueueList.model_validate(self._call("GET", "/queues")).items

    def pause_queue(self, name: str) -> QueueView:
        """Start nothing of the queue any more. For admins."""
        return QueueView.model_validate(self._call("POST", f"/queues/{name}/pause"))

    def resume_queue(self, name: str) -> QueueView:
        """Start its jobs again. For admins."""
        return QueueView.model_validate(self._call("POST", f"/queues/{name}/resume"))

    def limit_queue(self, name: str, **limits: int | None) -> QueueView:
        """Set `running_limit`, `owner_running_limit` or both; None takes a limit away. For admins."""
        return QueueView.model_validate(self._call("PATCH", f"/queues/{name}", json=limits))

    def delete(self, job_id: UUID) -> None:
        self._call("DELETE", f"/jobs/{job_id}")

    def artifacts(self, job_id: UUID) -> list[ArtifactView]:
        items = self._call("GET", f"/jobs/{job_id}/artifacts")["items"]
        return [ArtifactView.model_validate(item) for item in items]

    def download(self, job_id: UUID, artifact_id: UUID) -> Iterator[bytes]:
        """A stored file's content, in pieces."""
        with self._http.stream("GET", f"{API}/jobs/{job_id}/artifacts/{artifact_id}") as answer:
            if answer.is_error:
                answer.read()
                raise _problem(answer)
            yield from answer.iter_bytes()

    def _call(self, method: str, path: str, **content: Any) -> Any:
        answer = self._http.request(method, API + path, **content)
        if answer.is_error:
            raise _problem(answer)
        return answer.json() if answer.content else None


def _problem(answer: httpx2.Response) -> ProblemError:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    fields = body if isinstance(body, dict) else {}
    return ProblemError(
        answer.status_code, str(fields.get("code", "error")), str(fields.get("detail", answer.reason_phrase)), fields
    )
