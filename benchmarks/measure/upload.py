"""One large upload: megabytes in a second, and how much memory the web process takes for it."""

import contextlib
import threading
import time
from typing import Self

from benchmarks import helix, wire
from benchmarks.figures import LESS, Ratio, Section
from benchmarks.ground import Broker, Ground
from benchmarks.measure.options import Options
from benchmarks.measure.submission import start_floor
from benchmarks.processes import Process, group

MEGABYTE = 1_000_000
CHUNK = bytes(range(256)) * 1024  # 256 KiB
BOUNDARY = "helixbench"
LOOK_SECONDS = 0.01


class Memory:
    """How much a process grew at most while the block ran, in bytes."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._before = self._most = process.memory()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self._most - self._before

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._most = max(self._most, self._process.memory())


def measure(ground: Ground, options: Options, broker: Broker) -> list[Section]:
    """HelixNet's multipart upload, hashed on the way, against a route that streams its body to a file."""
    size = f"{options.upload_bytes / 1024**2:.0f} MiB"
    speed = Section(
        "upload",
        f"Upload of {size}",
        "One client, one file. The floor is a FastAPI route that writes the bare body to a file as it comes; HelixNet "
        "parses a multipart form, hashes with SHA-256, stores, and answers once the job is in the ledger.",
    )
    memory = Section(
        "upload_memory",
        f"Memory for an upload of {size}",
        "By how much the web process's resident memory grew at most.",
        better=LESS,
    )
    contestants = {"floor": ("FastAPI, streamed to a file", _floor), "helixnet": ("HelixNet", _helixnet)}
    for key, (title, _run) in contestants.items():
        speed.add(key, title, "MB/s")
        memory.add(key, title, "MB")
    for _ in range(options.runs):
        for key, (_title, run) in contestants.items():
            seconds, growth = run(ground, options, broker)
            speed.get(key).values.append(options.upload_bytes / seconds / MEGABYTE)
            memory.get(key).values.append(growth / MEGABYTE)
    speed.ratios = [Ratio("helixnet", "floor", "HelixNet to its floor")]
    memory.ratios = [Ratio("helixnet", "floor", "HelixNet to its floor", LESS)]
    return [speed, memory]


def _floor(ground: Ground, options: Options, broker: Broker) -> tuple[float, int]:
    with group() as processes:
        web, port = start_floor(ground, processes, broker, "helixbench.web")
        answer = _upload(web, port, "PUT", "/uploads", b"", b"", {}, options)
    for file in ground.folder.glob("*.bin"):
        file.unlink()
    ground.drop_database("floor_web")
    return answer


def _helixnet(ground: Ground, options: Options, broker: Broker) -> tuple[float, int]:
    url = helix.database(ground, "helix_upload")
    environment = helix.environment(ground, url, broker)
    before = _part("context_key") + b"context\r\n" + _part("content_key")
    after = f"\r\n--{BOUNDARY}--\r\n".encode()
    with group() as processes:
        web, port = helix.start_web(ground, processes, environment, ground.log("helix_web"))
        token = wire.run(lambda: wire.sign_in(port))
        headers = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}", "Authorization": f"Bearer {token}"}
        answer = _upload(web, port, "POST", "/api/v1/jobs/upload", before, after, headers, options)
    broker.forget([helix.QUEUE])
    ground.drop_database("helix_upload")
    for file in (ground.folder / "objects").rglob("*"):
        if file.is_file():
            file.unlink()
    return answer


def _part(name: str) -> bytes:
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.txt"\r\n'
        "Content-Type: text/plain\r\n\r\n"
    ).encode()


def _upload(
    web: Process,
    port: int,
    method: str,
    path: str,
    before: bytes,
    after: bytes,
    headers: dict[str, str],
    options: Options,
) -> tuple[float, int]:
    """One small upload to warm up, then the large one: its seconds, and the growth of the memory in bytes."""

    async def run(size: int) -> float:
        connection = await wire.Connection.open(port)
        length = len(before) + size + len(after)
        head = wire.request(method, path, **headers).replace(b"Content-Length: 0", f"Content-Length: {length}".encode())
        start = time.perf_counter()
        await connection.send(head + before)
        for sent in range(0, size, len(CHUNK)):
            await connection.send(CHUNK[: size - sent])
        await connection.send(after)
        await connection.answer(201)
        seconds = time.perf_counter() - start
        with contextlib.suppress(OSError):
            await connection.close()
        return seconds

    wire.run(lambda: run(1024**2))
    with Memory(web) as memory:
        seconds = wire.run(lambda: run(options.upload_bytes))
    return seconds, memory.growth
