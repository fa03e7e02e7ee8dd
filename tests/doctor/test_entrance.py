"""The way through proxies, to a web that runs; the proxies are as bad as such proxies are."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from helixnet.config import Settings
from helixnet.doctor import Level, entrance
from helixnet.doctor.entrance import examine
from tests.conftest import Stack
from tests.stack.conftest import helix

pytestmark = pytest.mark.anyio
MakeSettings = Callable[..., Settings]


@asynccontextmanager
async def proxy(stack: Stack, longest_body: int | None = None, *, gathers: bool = False) -> AsyncIterator[str]:
    """A proxy before the web; with a limit it refuses longer bodies, and it may wait for whole ones."""

    async def hand_on(head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        behind, to_web = await asyncio.open_connection("127.0.0.1", stack.port)
        try:
            kept = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
            to_web.write(b"\r\n".join([*kept, b"Connection: close", b"", body]))
            while piece := await behind.read(65536):
                writer.write(piece)
            await writer.drain()
        finally:
            to_web.close()
            await to_web.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever comes may go away at any time.
        with suppress(asyncio.IncompleteReadError, OSError):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = {line.partition(b":")[0].lower(): line.partition(b":")[2] for line in head.split(b"\r\n")[1:]}
                length = int(fields.get(b"content-length", b"0"))
                if longest_body is not None and length > longest_body:
                    writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    await writer.drain()
                else:
                    await hand_on(head, await reader.readexactly(length) if gathers else b"", writer)
            finally:
                writer.close()
                await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of the tests may have much else to do."""
    monkeypatch.setattr(entrance, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(entrance, "UPLOAD_PATIENCE_SECONDS", 60.0)


async def found(url: str, settings: Settings) -> dict[str, Level]:
    return {finding.check: finding.level for finding in await examine(url, settings)}


async def test_a_way_that_is_well(stack: Stack, make_settings: MakeSettings) -> None:
    well = {"web.reachable": Level.OK, "web.uploads": Level.OK}

    assert await found(stack.url, make_settings()) == well
    async with proxy(stack) as url:
        assert await found(url, make_settings()) == well


async def test_a_proxy_that_takes_small_bodies_only(stack: Stack, make_settings: MakeSettings) -> None:
    async with proxy(stack, longest_body=1024**2) as url:
        assert (await found(url, make_settings()))["web.uploads"] is Level.ERROR
        assert (await found(url, make_settings(max_upload_bytes=1024**2)))["web.uploads"] is Level.OK


async def test_a_proxy_that_gathers_requests(
    stack: Stack, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "UPLOAD_PATIENCE_SECONDS", 1.0)
    async with proxy(stack, gathers=True) as url:
        assert (await found(url, make_settings()))["web.uploads"] is Level.WARNING


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "helix.example", "file:///etc/passwd", ""])
async def test_an_address_that_leads_nowhere(make_settings: MakeSettings, url: str) -> None:
    assert await found(url, make_settings()) == {"web.reachable": Level.ERROR}


def test_the_command_takes_the_address(stack: Stack) -> None:
    done = helix("doctor", "--home", stack.home, "--url", stack.url)

    assert done.returncode == 0, done.stdout
    assert "web.uploads" in done.stdout
