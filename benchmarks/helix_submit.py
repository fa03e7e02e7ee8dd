"""HelixNet's submitter: one process, one connection, batches of up to ten thousand jobs over HTTP."""

import http.client
import os

from benchmarks.dialogue import serve

LARGEST_BATCH = 10_000
JOB = b'{"processor":"core.echo"}\n'


def main() -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["BENCH_PORT"]), timeout=60)
    headers = {
        "Authorization": f"Bearer {os.environ['BENCH_TOKEN']}",
        "Content-Type": "application/x-ndjson",
    }

    def submit(count: int) -> None:
        for start in range(0, count, LARGEST_BATCH):
            body = JOB * min(LARGEST_BATCH, count - start)
            connection.request("POST", "/api/v1/jobs/batch", body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != http.HTTPStatus.CREATED:
                raise SystemExit(f"HelixNet answered {answer.status}: {said[:500]!r}")

    serve(submit)


if __name__ == "__main__":
    main()
