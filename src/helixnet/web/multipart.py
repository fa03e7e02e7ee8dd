"""Multipart bodies (RFC 7578) read as they arrive: no part is ever held whole."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from helixnet.errors import Invalid, TooLarge


@dataclass(eq=False, slots=True)
class Part:
    """One part of a form: its name, the file's name (None for a plain field), and its content as a stream."""

    name: str
    filename: str | None
    content_type: str
    _form: "MultipartForm" = field(repr=False)

    async def stream(self) -> AsyncIterator[bytes]:
        """The content in pieces as they arrive; read it to its end before the next part is asked for."""
        async for piece in self._form.content():
            yield piece

    async def text(self, limit: int) -> str:
        """The content as UTF-8; raises TooLarge above `limit` bytes, Invalid when it is no UTF-8."""
        whole = bytearray()
        async for piece in self.stream():
            whole += piece
            if len(whole) > limit:
                raise TooLarge(f"The field {self.name!r} is larger than {limit} bytes.")
        try:
            return whole.decode()
        except UnicodeDecodeError:
            raise Invalid(f"The field {self.name!r} is not UTF-8.") from None


@dataclass(slots=True)
class _Headers:
    lines: dict[bytes, bytes] = field(default_factory=dict)
    name: bytes = b""
    value: bytes = b""


END = object()


class MultipartForm:
    """The parts of a body, in order. Raises Invalid for a body that is not what its headers say."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise Invalid("Send the files as multipart/form-data.")
        self._body = body
        self._found: deque[_Headers | bytes | object] = deque()
        self._headers = _Headers()
        self._whole = False
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": lambda: self._found.append(self._headers),
                "on_part_data": lambda data, start, end: self._found.append(data[start:end]),
                "on_part_end": lambda: self._found.append(END),
                "on_end": self._form_ends,
            },
        )

    async def parts(self) -> AsyncIterator[Part]:
        while (found := await self._next()) is not None:
            if isinstance(found, _Headers):
                yield self._part(found)

    async def content(self) -> AsyncIterator[bytes]:
        """The rest of the current part."""
        while isinstance(found := await self._next(), bytes):
            yield found
        if found is None:
            raise Invalid("The body ends in the middle of a part.")

    async def _next(self) -> _Headers | bytes | object | None:
        while not self._found:
            piece = await anext(self._body, None)
            if piece is None:
                if not self._whole:
                    raise Invalid("The body ends before the form does.")
                return None
            try:
                self._parser.write(piece)
            except MultipartParseError as error:
                raise Invalid("The body is not a well-formed multipart form.") from error
        return self._found.popleft()

    def _part(self, headers: _Headers) -> Part:
        _kind, options = parse_options_header(headers.lines.get(b"content-disposition", b""))
        name, filename = options.get(b"name"), options.get(b"filename")
        if name is None:
            raise Invalid("A part of the form has no name.")
        return Part(
            name.decode(errors="replace"),
            filename.decode(errors="replace") if filename is not None else None,
            headers.lines.get(b"content-type", b"").decode("latin-1"),
            self,
        )

    def _part_begins(self) -> None:
        self._headers = _Headers()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._headers.name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._headers.value += data[start:end]

    def _header_ends(self) -> None:
        self._headers.lines[self._headers.name.lower()] = self._headers.value
        self._headers.name = self._headers.value = b""

    def _form_ends(self) -> None:
        self._whole = True
