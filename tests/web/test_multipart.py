"""The streaming reader of multipart forms."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixnet.errors import Invalid, TooLarge
from helixnet.web.multipart import MultipartForm

pytestmark = pytest.mark.anyio

BOUNDARY = "the-boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FORM = (
    b'--the-boundary\r\nContent-Disposition: form-data; name="content_key"; filename="a b.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nline one\r\n--the-bound\r\nline two\r\n"
    b'--the-boundary\r\nContent-Disposition: form-data; name="priority"\r\n\r\n7\r\n'
    b"--the-boundary--\r\n"
)


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 7) -> list[tuple[str, str | None, bytes]]:
    form = MultipartForm(CONTENT_TYPE, in_pieces(body, size))
    return [
        (part.name, part.filename, b"".join([piece async for piece in part.stream()])) async for part in form.parts()
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 16, 61, 10_000])
async def test_parts_arrive_whole_however_the_body_is_cut(size: int) -> None:
    assert await read(FORM, size) == [
        ("content_key", "a b.txt", b"line one\r\n--the-bound\r\nline two"),
        ("priority", None, b"7"),
    ]


@given(content=st.binary(max_size=300), size=st.integers(1, 50))
async def test_any_bytes_come_through(content: bytes, size: int) -> None:
    if b"--the-boundary" in content:
        return
    head = b'--the-boundary\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    assert await read(head + content + b"\r\n--the-boundary--\r\n", size) == [("f", "f", content)]


@pytest.mark.parametrize("end", [10, 60, 130, 150, 200, len(FORM) - 6])
async def test_a_body_that_is_cut_off_is_refused(end: int) -> None:
    with pytest.raises(Invalid):
        await read(FORM[:end])


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
async def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(Invalid, match="multipart/form-data"):
        MultipartForm(content_type, in_pieces(FORM, 10))


@pytest.mark.parametrize("body", [b"nonsense", b"--another\r\n\r\n", b"--the-boundary\r\nno colon\r\n\r\n"])
async def test_a_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        await read(body)


async def test_a_part_without_a_name_is_refused() -> None:
    with pytest.raises(Invalid, match="no name"):
        await read(b"--the-boundary\r\nContent-Type: text/plain\r\n\r\nx\r\n--the-boundary--\r\n")


async def test_a_field_over_its_limit_is_refused() -> None:
    form = MultipartForm(CONTENT_TYPE, in_pieces(FORM, 8))
    async for part in form.parts():
        with pytest.raises(TooLarge):
            await part.text(3)
        break
