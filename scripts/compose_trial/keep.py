"""Put a file into a stack, and look later whether it is there still: `keep.py URL put`, `keep.py URL JOB_ID`."""

import sys
from pathlib import Path
from uuid import UUID

from helixnet.client import Client

EXAMPLES = Path(__file__).parents[2] / "examples"


def main() -> int:
    url, what = sys.argv[1:]
    with Client(url) as helix:
        helix.sign_in("demo@helix.net", "demo")
        if what == "put":
            accepted = helix.upload(content=EXAMPLES / "content_file.txt", context=EXAMPLES / "context_file.txt")
            helix.wait(accepted.job_id, timeout_seconds=60)
            print(accepted.job_id)
            return 0
        job = helix.wait(helix.replay(UUID(what)).job_id, timeout_seconds=60)
        print(f"the uploaded file was read again: {job.status}")
        return 0 if job.status == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main())
