"""A large upload passes through the web process; it never stays there."""

import hashlib
import socket
from pathlib import Path

from tests.conftest import Stack

MEBIBYTE = 1024 * 1024
SIZE = 384 * MEBIBYTE
ALLOWED = 64 * MEBIBYTE


def peak_memory(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("the kernel does not tell")


def test_an_upload_of_any_size_raises_the_webs_memory_by_less_than_64_mib(stack: Stack) -> None:
    helix = stack.client()
    http = stack.http(helix)
    web = stack.part("web").pid
    http.post("/api/v1/jobs/upload", files={"content_key": b"warm", "context_key": b"up"}).raise_for_status()
    before = peak_memory(web)

    head = b'--b\r\nContent-Disposition: form-data; name="context_key"; filename="c"\r\n\r\nwhat?\r\n'
    head += b'--b\r\nContent-Disposition: form-data; name="content_key"; filename="big.txt"\r\n\r\n'
    tail = b"\r\n--b--\r\n"
    piece = b"all work and no play makes jack a dull boy\n" * 24_000
    pieces, rest = divmod(SIZE, len(piece))
    request = (
        "POST /api/v1/jobs/upload HTTP/1.1\r\nHost: helix\r\nConnection: close\r\n"
        f"Content-Length: {len(head) + SIZE + len(tail)}\r\nAuthorization: {http.headers['Authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    digest = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", stack.port)) as connection:
        connection.sendall(request.encode() + head)
        for part in [*([piece] * pieces), piece[:rest]]:
            digest.update(part)
            connection.sendall(part)
        connection.sendall(tail)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    grown = peak_memory(web) - before
    assert answer.startswith(b"HTTP/1.1 201"), answer
    newest = helix.jobs(limit=1).items[0]
    (content,) = [item for item in helix.artifacts(newest.job_id) if item.role == "content_key"]
    assert (content.size, content.sha256) == (SIZE, digest.hexdigest())
    assert grown < ALLOWED, f"{grown / MEBIBYTE:.0f} MiB"
    helix.cancel(newest.job_id)  # its work would take minutes, and is not what this is about
    assert helix.wait(newest.job_id, 60).status == "CANCELLED"
    helix.delete(newest.job_id)
