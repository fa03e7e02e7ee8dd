"""The main job, from nothing to a result: starts HelixNet in a fresh home, uploads two files, shows what happens."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from rich.console import Console
from rich.json import JSON
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from helixnet.client import Client
from helixnet.jobs.schemas import JobView

EXAMPLES = Path(__file__).parent
READY = "HelixNet is ready at "
START_SECONDS = 60
STOP_SECONDS = 20
RESULT_LINES = 60

console = Console(highlight=False)


def main() -> int:
    home = Path(tempfile.mkdtemp(prefix="helixnet-demo-"))
    console.print(f"[bold]HelixNet demo[/bold]: a fresh stack in {home}")
    began = time.monotonic()
    log = (home / "demo.log").open("w+")
    stack = subprocess.Popen(
        [sys.executable, "-m", "helixnet", "up", "--home", str(home / "stack"), "--port", str(free_port())],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("HELIX_")},
    )
    try:
        url = wait_until_ready(stack, home / "demo.log")
        console.print(f"✔ {READY}{url} ({time.monotonic() - began:.1f} s)")
        job = run_job(url)
        show(job, home / "demo.log")
    finally:
        stack.send_signal(signal.SIGTERM)
        try:
            stack.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            stack.kill()
        log.close()
    console.print(f"✔ stopped with exit code {stack.returncode}; {time.monotonic() - began:.1f} s in all")
    if job.status != "COMPLETED" or stack.returncode != 0:
        console.print(f"[red]The demo failed; its log is {home / 'demo.log'}[/red]")
        return 1
    shutil.rmtree(home)
    return 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(stack: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and stack.poll() is None:
        found = re.search(READY + r"(http://\S+)", log.read_text())
        if found:
            return found.group(1)
        time.sleep(0.05)
    raise SystemExit(f"The stack did not start:\n{log.read_text()}")


def run_job(url: str) -> JobView:
    with Client(url) as helix:
        helix.sign_in("demo@helix.net", "demo")
        console.print(f"✔ signed in as {helix.me().email}")
        accepted = helix.upload(content=EXAMPLES / "content_file.txt", context=EXAMPLES / "context_file.txt")
        console.print(f"✔ uploaded, job {accepted.job_id} is {accepted.status}")
        for role, key in accepted.payload.items():
            console.print(f"  {role}: {key}")
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task("PENDING", total=1.0)

            def watch(job: JobView) -> None:
                words = f"{job.status} {job.progress_message or ''}"
                progress.update(bar, description=words, completed=job.progress or 0)

            return helix.wait(accepted.job_id, timeout_seconds=60, watch=watch)


def show(job: JobView, log: Path) -> None:
    console.print("\n[bold]The worker's story[/bold]")
    for line in log.read_text().splitlines():
        if "[helix.worker]" in line and ("Job [" not in line or str(job.job_id) in line):
            console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("\n[bold]The result[/bold]")
    lines = orjson.dumps(job.result_content, option=orjson.OPT_INDENT_2).decode().splitlines()
    console.print(JSON("\n".join(lines)) if len(lines) <= RESULT_LINES else "\n".join([*lines[:RESULT_LINES], "…"]))
    console.print(f"\nJob {job.job_id} is [bold]{job.status}[/bold] after attempt {job.attempt}")
    console.print(f"result_path: {job.result_path}\n", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
