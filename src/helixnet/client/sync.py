"""The blocking client."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx2

from helixnet.artifacts.schemas import ArtifactView
from helixnet.jobs.schemas import (
    EventPage,
    JobAccepted,
    JobPage,
    JobSubmission,
    JobSummary,
    JobView,
    UploadAccepted,
)
from helixnet.jobs.states import FINAL
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

    def upload(self, *, content: Path, context: Path, **fields: str) -> UploadAccepted:
        """Hand over two files for a job. `fields`: `processor`, `params` (JSON text), `priority`."""
        with ExitStack() as opened:
            files = {
                role: (path.name, opened.enter_context(path.open("rb")))
                for role, path in (("content_key", content), ("context_key", context))
            }
            return UploadAccepted.model_validate(self._call("POST", "/jobs/upload", files=files, data=fields))

    def submit(self, processor: str, params: dict[str, Any] | None = None, **options: Any) -> JobAccepted:
        """Submit a job; `options` are the further fields of JobSubmission."""
        submission = JobSubmission(processor=processor, params=params or {}, **options)
        return JobAccepted.model_validate(self._call("POST", "/jobs", json=submission.model_dump(mode="json")))

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
