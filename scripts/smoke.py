"""The main walk through a HelixNet that runs: sign in, upload two files, wait for the result, look at the pages.

    python scripts/smoke.py http://localhost

HELIX_SMOKE_EMAIL and HELIX_SMOKE_PASSWORD name another account than the development profile's demo.
"""

import os
import sys
import time
from pathlib import Path

import httpx2

from helixnet.client import Client

EXAMPLES = Path(__file__).parent.parent / "examples"
PAGES = {"/docs": "swagger-ui", "/login": "<form", "/openapi.json": '"openapi"'}
# A stack that has only just started gets so long.
READY_SECONDS = 60
WISDOM = 'id="chuck-norris-joke"'


def main() -> int:
    url = sys.argv[1].rstrip("/")
    began = time.monotonic()
    wait_until_ready(url, began + READY_SECONDS)
    for path, words in PAGES.items():
        answer = httpx2.get(url + path)
        expect(answer.status_code == httpx2.codes.OK and words in answer.text, f"{path} answers")
    expect(httpx2.get(f"{url}/metrics").status_code == httpx2.codes.NOT_FOUND, "/metrics leads nowhere")
    email = os.environ.get("HELIX_SMOKE_EMAIL", "demo@helix.net")
    password = os.environ.get("HELIX_SMOKE_PASSWORD", "demo")
    with Client(url) as helix:
        helix.sign_in(email, password)
        expect(helix.me().email == email, f"signed in as {email}")
        accepted = helix.upload(content=EXAMPLES / "content_file.txt", context=EXAMPLES / "context_file.txt")
        expect(accepted.status == "PENDING", f"job {accepted.job_id} is accepted")
        job = helix.wait(accepted.job_id, timeout_seconds=60)
        expect(
            job.status == "COMPLETED" and bool(job.result_content),
            f"it is {job.status}: {job.result_path or job.error}",
        )
        expect(str(job.result_path).endswith("/result.json"), "its result is an object")
    with httpx2.Client(base_url=url, follow_redirects=True) as browser:
        page = browser.post("/login", data={"email": email, "password": password})
        expect(str(job.job_id) in page.text and WISDOM in page.text, "the dashboard shows it")
    print(f"✔ {url} in {time.monotonic() - began:.1f} s")
    return 0


def wait_until_ready(url: str, end: float) -> None:
    """Ask for readiness until it is there; at the end say what the last answer was."""
    while True:
        try:
            answer = httpx2.get(f"{url}/readyz")
            ready, said = answer.status_code == httpx2.codes.OK and '"status":"ok"' in answer.text, answer.text[:300]
        except httpx2.TransportError as error:
            ready, said = False, repr(error)
        if ready or time.monotonic() > end:
            return expect(ready, f"/readyz answers: {said}")
        time.sleep(0.5)


def expect(holds: bool, what: str) -> None:
    """Say that something holds, or end the walk."""
    if not holds:
        raise SystemExit(f"✘ not so: {what}")
    print(f"✔ {what}")


if __name__ == "__main__":
    sys.exit(main())
