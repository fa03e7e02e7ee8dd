"""Requests on end through a stack, until a file appears; then counts: `load.py URL STOP`; fails if one did."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import httpx2

from helixnet.client import Client

THREADS = 4
PAUSE_SECONDS = 0.1
FINAL_SECONDS = 120


def main() -> int:
    url, stop = sys.argv[1], Path(sys.argv[2])
    failures: list[str] = []
    jobs: list[str] = []
    account = {"username": "demo@helix.net", "password": "demo"}
    token = httpx2.post(f"{url}/api/v1/auth/token", data=account).json()["access_token"]
    with Client(url, token) as helix:

        def ask() -> None:
            with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as browser:
                while not stop.exists():
                    try:
                        body = {"processor": "core.echo", "params": {"message": "hello"}}
                        answer = browser.post("/api/v1/jobs", json=body)
                    except httpx2.TransportError as error:
                        failures.append(repr(error))
                        continue
                    if answer.status_code == httpx2.codes.CREATED:
                        jobs.append(answer.json()["job_id"])
                    else:
                        failures.append(f"{answer.status_code} {answer.text[:200]}")
                    threading.Event().wait(PAUSE_SECONDS)

        threads = [threading.Thread(target=ask) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Jobs of one queue finish roughly in order: once the last has, asking for the others is quick.
        with ThreadPoolExecutor(THREADS) as askers:
            ends = askers.map(lambda job: helix.wait(UUID(job), timeout_seconds=FINAL_SECONDS).status, reversed(jobs))
            lost = [end for end in ends if end != "COMPLETED"]
    print(f"{len(jobs)} jobs accepted, {len(failures)} requests failed {failures[:3]}, {len(lost)} jobs not completed")
    return 1 if failures or lost or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
