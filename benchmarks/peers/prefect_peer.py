"""Prefect: background tasks (`task.delay`) with its server on the same PostgreSQL, and two task workers."""

import os
import subprocess
import sys
import time
import urllib.request
from urllib.error import URLError

PORT = os.environ["BENCH_PORT"]
API = f"http://127.0.0.1:{PORT}/api"
# Read by Prefect when it is imported.
os.environ.update(
    {
        "PREFECT_API_URL": API,
        "PREFECT_API_DATABASE_CONNECTION_URL": os.environ["BENCH_DATABASE_URL"].replace(
            "postgresql://", "postgresql+asyncpg://"
        ),
        "PREFECT_HOME": os.environ["BENCH_FOLDER"] + "/prefect",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "DO_NOT_TRACK": "1",
    }
)

from benchmarks.dialogue import say_ready, serve  # noqa: E402


def run_server() -> None:
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", PORT]
    server = subprocess.Popen(command, stdout=sys.stderr)
    while True:
        try:
            with urllib.request.urlopen(f"{API}/health", timeout=2):
                break
        except (URLError, OSError):
            time.sleep(0.1)
            if server.poll() is not None:
                raise SystemExit("the Prefect server ended") from None
    say_ready()
    server.wait()


def main(command: str, _number: str = "") -> None:
    if command == "setup":
        return
    if command == "serve":
        run_server()
        return
    import prefect
    from prefect.cache_policies import NO_CACHE
    from prefect.task_worker import serve as serve_tasks

    @prefect.task(task_run_name="noop", cache_policy=NO_CACHE)
    def noop() -> None:
        """Nothing."""

    if command == "worker":
        say_ready()  # a task that comes before its worker waits on the server
        serve_tasks(noop, limit=10)
        return

    def submit(count: int) -> None:
        for _ in range(count):
            noop.delay()

    serve(submit)


if __name__ == "__main__":
    main(*sys.argv[1:])
