"""The way that users come: through whatever proxies stand before the web."""

import asyncio
import contextlib
import ssl
from urllib.parse import SplitResult, urlsplit

import httpx2

from helixnet import __version__
from helixnet.config import Settings
from helixnet.doctor.configuration import LOOPBACK
from helixnet.doctor.findings import Finding, Level, error, note, ok, plain, said, warning

PATIENCE_SECONDS = 5.0
UPLOAD_PATIENCE_SECONDS = 5.0
LONGEST_LINE = 1000
UPLOADS = "/api/v1/jobs/upload"
# Nobody is signed in, so the web itself refuses the upload by its head alone.
REFUSED_BY_US, TOO_LARGE = 401, 413


async def examine(url: str, settings: Settings) -> list[Finding]:
    """What stands between users and the web at this address; nothing is uploaded but the head of a request."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        return [error("web.reachable", "--url is no address.", "Name what users type: https://helix.example")]
    found = await _reach(url.rstrip("/"), settings)
    if found.level is Level.ERROR:
        return [found]
    findings = [found, await _begin_an_upload(address, settings)]
    if address.scheme == "http" and address.hostname not in LOOPBACK and not settings.development:
        advice = "End TLS before the web, and send HTTP on to HTTPS."
        findings.append(warning("web.encryption", "Passwords and files go over the network in the open.", advice))
    return findings


async def _reach(url: str, settings: Settings) -> Finding:
    advice = "See that the proxy is up and sends this host on to the web, and that the web is ready."
    try:
        async with httpx2.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            answer = await client.get(f"{url}/readyz")
        version = answer.json().get("version") if answer.status_code == httpx2.codes.OK else None
    except (httpx2.HTTPError, ValueError, AttributeError) as problem:
        return error("web.reachable", f"The web can't be reached by {plain(url)}: {said(problem, settings)}", advice)
    if version is None:
        return error("web.reachable", f"{plain(url)}/readyz was answered with {answer.status_code}.", advice)
    if version != __version__:
        return note(
            "web.version", f"The web is {plain(str(version))}, this command {__version__}.", "Use the same release."
        )
    return ok("web.reachable", f"HelixNet {__version__} is ready at {plain(url)}.")


async def _begin_an_upload(address: SplitResult, settings: Settings) -> Finding:
    """Announce the largest file that the web would take: a proxy with a smaller limit refuses it by that alone."""
    size = settings.max_upload_bytes
    head = (
        f"POST {address.path.rstrip('/')}{UPLOADS} HTTP/1.1\r\nHost: {address.netloc.rpartition('@')[2]}\r\n"
        f"Content-Type: multipart/form-data; boundary=doctor\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(UPLOAD_PATIENCE_SECONDS):
            status = await _status_of(address, head)
    except TimeoutError:
        return warning(
            "web.uploads",
            "Something before the web gathers whole requests: uploads fill its disk and are late.",
            "Switch its buffering of requests off (nginx: proxy_request_buffering off).",
        )
    except (OSError, ValueError) as problem:
        return warning(
            "web.uploads", f"An upload could not be begun: {said(problem, settings)}", "See the proxy's log."
        )
    if status == TOO_LARGE:
        return error(
            "web.uploads",
            f"Something before the web refuses files that it would take (up to {size} bytes).",
            "Raise its limit of bodies (nginx: client_max_body_size), or lower HELIX_MAX_UPLOAD_BYTES.",
        )
    if status != REFUSED_BY_US:
        return warning("web.uploads", f"The beginning of an upload was answered with {status}.", "See the proxy's log.")
    return ok("web.uploads", f"Nothing before the web refuses files of {size} bytes.")


async def _status_of(address: SplitResult, head: str) -> int:
    secure = ssl.create_default_context() if address.scheme == "https" else None
    port = address.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(address.hostname, port, ssl=secure, limit=LONGEST_LINE)
    try:
        writer.write(head.encode())
        await writer.drain()
        line = await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as problem:
        raise ValueError("the answer is not HTTP") from problem
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)
    words = line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError("the answer is not HTTP")
    return int(words[1])
