"""PDFs and Word documents for the tests, sound ones and such as are made to harm."""

import io
import zipfile
import zlib

from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    EncodedStreamObject,
    IndirectObject,
    NameObject,
    NumberObject,
)

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
MEBIBYTE = 1024 * 1024


def pdf(*pages: str) -> bytes:
    """A PDF whose pages say these words."""
    return _written(_pdf([f"BT /F1 12 Tf 40 700 Td ({words}) Tj ET".encode() for words in pages])[0])


def empty_pdf() -> bytes:
    return _written(_pdf([b""])[0])


def locked_pdf() -> bytes:
    writer, _ = _pdf([b"BT /F1 12 Tf 40 700 Td (secret) Tj ET"])
    writer.encrypt("a password", algorithm="RC4-128")
    return _written(writer)


def pdf_whose_pages_hold_themselves() -> bytes:
    """A page tree with itself among its kids."""
    writer, _ = _pdf([b"BT (x) Tj ET"])
    root = writer.root_object["/Pages"]
    tree = root.get_object()
    assert isinstance(tree, DictionaryObject)
    kids = tree["/Kids"]
    assert isinstance(kids, ArrayObject)
    kids.append(writer.root_object.raw_get("/Pages"))
    tree[NameObject("/Count")] = NumberObject(1_000_000_000)
    return _written(writer)


def pdf_whose_forms_draw_each_other() -> bytes:
    """Two forms, each of which draws the other twice."""
    writer, page = _pdf([b"/A Do"])
    forms = [DecodedStreamObject(), DecodedStreamObject()]
    names = [writer._add_object(form) for form in forms]
    for form, other in zip(forms, reversed(names), strict=True):
        form.set_data(b"BT (x) Tj ET /X Do /X Do")
        form[NameObject("/Type")] = NameObject("/XObject")
        form[NameObject("/Subtype")] = NameObject("/Form")
        form[NameObject("/Resources")] = _resources("/X", other)
    page[NameObject("/Resources")] = _resources("/A", names[0])
    return _written(writer)


def pdf_with_many_forms() -> bytes:
    """Forms that draw the next one ten times: ten to the twentieth words, and no circle."""
    writer, page = _pdf([b"/A Do"])
    following: IndirectObject | None = None
    for _ in range(20):
        form = DecodedStreamObject()
        form.set_data(b"BT (x) Tj ET" + b" /X Do" * 10)
        form[NameObject("/Type")] = NameObject("/XObject")
        form[NameObject("/Subtype")] = NameObject("/Form")
        if following is not None:
            form[NameObject("/Resources")] = _resources("/X", following)
        following = writer._add_object(form)
    assert following is not None
    page[NameObject("/Resources")] = _resources("/A", following)
    return _written(writer)


def pdf_bomb() -> bytes:
    """A page of 256 MiB of drawing, in one."""
    writer, page = _pdf([b""])
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b" " * MEBIBYTE) for _ in range(256)) + packer.flush()
    stream = EncodedStreamObject()
    stream._data = packed
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    page[NameObject("/Contents")] = writer._add_object(stream)
    return _written(writer)


def docx(*paragraphs: str, notes: str = "", head: str = "") -> bytes:
    """A Word document of these paragraphs, as XML has them; `head` stands before the root element."""
    body = "".join(f"<w:p><w:r>{each}</w:r></w:p>" for each in paragraphs)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "word/document.xml", f"{head}<w:document xmlns:w='{WORD}'><w:body>{body}</w:body></w:document>"
        )
        if notes:
            archive.writestr("word/footnotes.xml", f"<w:footnotes xmlns:w='{WORD}'>{notes}</w:footnotes>")
    return file.getvalue()


def docx_bomb() -> bytes:
    """A hundred megabytes of paragraphs in less than one."""
    file = io.BytesIO()
    piece = b"<w:p><w:r><w:t>ha</w:t></w:r></w:p>" * 30_000
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            part.write(f"<w:document xmlns:w='{WORD}'><w:body>".encode())
            for _ in range(100):
                part.write(piece)
    return file.getvalue()


def _pdf(drawings: list[bytes]) -> tuple[PdfWriter, DictionaryObject]:
    """A writer with a page for each drawing, and the last page."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    page: DictionaryObject = DictionaryObject()
    for drawing in drawings:
        page = writer.add_blank_page(600, 800)
        stream = DecodedStreamObject()
        stream.set_data(drawing)
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    return writer, page


def _resources(name: str, form: IndirectObject) -> DictionaryObject:
    return DictionaryObject({NameObject("/XObject"): DictionaryObject({NameObject(name): form})})


def _written(writer: PdfWriter) -> bytes:
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def zipped() -> bytes:
    """An archive that is no document."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("notes.txt", "words")
    return file.getvalue()
