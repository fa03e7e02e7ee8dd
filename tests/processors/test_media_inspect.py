"""media.inspect: what a file is, by its content, isolated and through HTTP."""

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import sys
import tarfile
import wave
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from helixnet.processors.media import INSPECT, PROCESSORS
from helixnet.processors.media.results import Inspection, InspectParams
from helixnet.processors.registry import Registry, check_inputs
from tests.conftest import Stack
from tests.processors.sandbox import HandedInput, Sandbox, SandboxContext, handed

EXAMPLE = Path(__file__).parents[2] / "examples" / "media-inspect"


class Looked:
    """The result of an inspection, with what it wrote."""

    def __init__(self, sandbox: Sandbox, given: HandedInput, **params: Any) -> None:
        self.context = SandboxContext({"content_key": given})
        self.found = Inspection.model_validate(sandbox.run(INSPECT, self.context, **params))

    @property
    def codes(self) -> set[str]:
        return {warned.code for warned in self.found.warnings}

    def artifact(self, name: str) -> Image.Image:
        return Image.open(io.BytesIO(self.context.written[name].content))


def example(name: str) -> HandedInput:
    return handed((EXAMPLE / name).read_bytes(), name)


def image(form: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", size, (200, 40, 40)).save(kept, form, **options)
    return kept.getvalue()


def zipped(names: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", method) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return kept.getvalue()


def tarred(members: list[tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w", format=form) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
    return kept.getvalue()


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.size, about.type, about.linkname, about.mtime = size, kind, target, 1_750_000_000
    return about


def tone(seconds: float) -> bytes:
    kept = io.BytesIO()
    with wave.open(kept, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(int(seconds * 8000) * 4))
    return kept.getvalue()


OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ODT = "application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (image("PNG"), "a.png", "image/png"),
        (image("JPEG"), "a.jpg", "image/jpeg"),
        (image("GIF"), "a.gif", "image/gif"),
        (image("WEBP"), "a.webp", "image/webp"),
        (image("TIFF"), "a.tif", "image/tiff"),
        (image("BMP"), "a.bmp", "image/bmp"),
        (image("AVIF"), "a.avif", "image/avif"),
        (image("ICO"), "a.ico", "image/vnd.microsoft.icon"),
        (zipped({"a.txt": b"a"}), "a.zip", "application/zip"),
        (zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>"}), "a.docx", OFFICE),
        (zipped({"mimetype": ODT.encode(), "content.xml": b"<o/>"}, zipfile.ZIP_STORED), "a.odt", ODT),
        (zipped({"mimetype": b"application/epub+zip"}, zipfile.ZIP_STORED), "a.epub", "application/epub+zip"),
        (zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0"}), "a.jar", "application/java-archive"),
        (zipped({"a/b.py": b"pass"}), "a-1.0-py3-none-any.whl", "application/zip"),
        (tarred([member("a", 5)]), "a.tar", "application/x-tar"),
        (gzip.compress(b"hello"), "a.txt.gz", "application/gzip"),
        (bz2.compress(b"hello"), "a.bz2", "application/x-bzip2"),
        (lzma.compress(b"hello"), "a.xz", "application/x-xz"),
        (b"%PDF-1.7\n1 0 obj\n%%EOF\n", "a.pdf", "application/pdf"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.doc", "application/x-ole-storage"),
        (b"SQLite format 3\x00" + bytes(90), "a.sqlite", "application/vnd.sqlite3"),
        (b"PAR1\x15\x04\x15" + bytes(90) + b"PAR1", "a.parquet", "application/vnd.apache.parquet"),
        (b"\x7fELF\x02\x01\x01" + bytes(90), "a.so", "application/x-elf"),
        (tone(0.1), "a.wav", "audio/wav"),
        (b'{"a": [1, 2, 3]}', "a.json", "application/json"),
        (b'{"a": 1}\n{"a": 2}\n', "a.ndjson", "application/x-ndjson"),
        (b"<?xml version='1.0'?>\n<!-- a -->\n<a><b/></a>", "a.xml", "application/xml"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE a [<!ELEMENT a (b)>]>\n<a><b/></a>", "a.xml", "application/xml"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "image/svg+xml"),
        (b"<!DOCTYPE html>\n<title>A</title>", "a.html", "text/html"),
        (b'a,b\n1,"x, y"\n2,z\n', "a.csv", "text/csv"),
        (b"a\tb\n1\t2\n", "a.tsv", "text/tab-separated-values"),
        (b"#!/usr/bin/env python3\nprint(1)\n", "a.py", "text/x-python"),
        ("Ein Text über die Größe.\r\n".encode("cp1252") * 9, "a.txt", "text/plain"),
        (b"# A heading\n\nand a paragraph\n", "a.md", "text/plain"),
    ],
)  # fmt: skip
def test_the_type_is_told_by_the_content_and_agrees_with_the_name(
    sandbox: Sandbox, content: bytes, name: str, media_type: str
) -> None:
    found = Looked(sandbox, handed(content, name), thumbnail=0).found
    assert found.hashes["sha256"] == hashlib.sha256(content).hexdigest()
    assert found.type.media_type == media_type, (found.type, found.text)
    assert found.by_name.agrees is True
    assert found.size == len(content)
    assert found.hashes == {"sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (image("PNG"), "a.jpg"),
        (b"MZ\x90\x00" + bytes(200), "invoice.pdf"),
        (zipped({"evil.exe": b"MZ"}), "letter.docx"),
        (b"Only words, no picture.", "a.png"),
        (bytes(range(256)) * 9, "a.gif"),
        (b"{not json", "a.json"),
        (tarred([member("a")]), "a.zip"),
    ],
)
def test_a_name_that_says_something_else_is_warned_of(sandbox: Sandbox, content: bytes, name: str) -> None:
    looked = Looked(sandbox, handed(content, name), thumbnail=0)
    assert looked.found.by_name.agrees is False
    assert "name_disagrees" in looked.codes


@pytest.mark.parametrize(
    ("said", "agrees"),
    [
        ("image/png", True),
        ("IMAGE/PNG; charset=binary", True),
        ("image/jpeg", False),
        ("text/html", False),
        ("application/octet-stream", None),
    ],
)
def test_what_the_sender_said_is_held_against_the_content(sandbox: Sandbox, said: str, agrees: bool | None) -> None:
    assert Looked(sandbox, handed(image("PNG"), "a", said)).found.declared.agrees is agrees


def test_all_hashes_that_are_asked_for_are_taken(sandbox: Sandbox) -> None:
    content = b"The quick brown fox jumps over the lazy dog"
    found = Looked(sandbox, handed(content, "a.txt"), hashes=["md5", "sha1", "sha512", "blake2b"]).found
    assert found.hashes == {name: hashlib.new(name, content).hexdigest() for name in found.hashes}
    assert set(found.hashes) == {"sha256", "md5", "sha1", "sha512", "blake2b"}


def test_a_text_has_its_encoding_and_line_ends_told(sandbox: Sandbox) -> None:
    found = Looked(sandbox, handed("Größe: 5 €\r\n".encode("utf-16"), "a.txt")).found
    assert found.text is not None
    assert (found.text.encoding, found.text.bom, found.text.line_ends) == ("utf-16", True, "crlf")


def test_a_large_text_is_not_cut_in_a_character(sandbox: Sandbox) -> None:
    found = Looked(sandbox, handed("ä€".encode() * 400_000, "a.txt")).found
    assert found.text is not None
    assert (found.type.media_type, found.text.encoding) == ("text/plain", "utf-8")


def test_the_photo_of_the_example_keeps_its_place_to_itself(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, example("photo.jpg"))
    found = looked.found.image
    assert found is not None
    assert (found.format, found.width, found.height, found.orientation) == ("JPEG", 640, 480, 6)
    assert (found.exif["Make"], found.exif["FNumber"]) == ("HelixNet", 4.0)
    assert found.has_location
    assert found.location is None
    told = looked.found.model_dump_json()
    assert not any(word in told for word in ("GPS", "48.5", "123.2", "-48", "30.0"))
    thumbnail = looked.artifact("thumbnail.webp")
    assert thumbnail.size == (192, 256), "upright"
    assert not thumbnail.getexif()


def test_where_a_photo_was_taken_is_told_to_those_who_ask(sandbox: Sandbox) -> None:
    found = Looked(sandbox, example("photo.jpg"), location=True, thumbnail=0).found.image
    assert found is not None
    assert found.location is not None
    assert (found.location.latitude, found.location.longitude) == (-48.51, -123.255)
    assert found.location.altitude == 12.5
    assert found.thumbnail is None


def test_a_thumbnail_may_be_png_and_keeps_what_shines_through(sandbox: Sandbox) -> None:
    kept = io.BytesIO()
    Image.new("RGBA", (500, 100), (0, 0, 0, 0)).save(kept, "PNG")
    looked = Looked(sandbox, handed(kept.getvalue(), "a.png"), thumbnail=100, thumbnail_format="png")
    thumbnail = looked.artifact("thumbnail.png")
    assert (thumbnail.format, thumbnail.mode, thumbnail.size) == ("PNG", "RGBA", (100, 20))
    assert looked.context.written["thumbnail.png"].media_type == "image/png"


def test_frames_of_an_animation_are_counted(sandbox: Sandbox) -> None:
    kept = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(kept, "GIF", save_all=True, append_images=frames[1:])
    found = Looked(sandbox, handed(kept.getvalue(), "a.gif")).found.image
    assert found is not None
    assert found.frames == 3


def test_the_archive_of_the_example_is_listed_with_what_to_beware_of(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, example("bundle.zip"))
    archive = looked.found.archive
    assert archive is not None
    assert (archive.format, archive.entries, archive.complete) == ("zip", 5, True)
    assert archive.listing[0].name == "logs/2026/day-1.log"
    assert archive.listing[0].modified == "2026-06-21T21:14:00"
    assert archive.unpacked == sum(entry.size for entry in archive.listing)
    assert looked.codes == {"outside", "nested"}


def test_the_false_letter_of_the_example_is_seen_through(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, example("letter.pdf"))
    assert looked.found.type.media_type == "image/png"
    assert looked.codes == {"name_disagrees"}


def zstd(content: bytes) -> bytes:
    from backports import zstd as library

    return library.compress(content)


@pytest.mark.parametrize(
    ("pack", "form"),
    [
        (bytes, "tar"),
        (gzip.compress, "tar.gz"),
        (bz2.compress, "tar.bz2"),
        (lzma.compress, "tar.xz"),
        (zstd, "tar.zst"),
    ],
)
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_archives_are_listed_however_they_are_packed(sandbox: Sandbox, pack: Any, form: str, kind: int) -> None:
    long = "folder/" * 14 + "ä"
    members = [
        member("folder", kind=tarfile.DIRTYPE),
        member(long, 1000),
        member("link", 0, tarfile.SYMTYPE, "folder/x"),
    ]
    looked = Looked(sandbox, handed(pack(tarred(members, kind)), f"a.{form}"))
    archive = looked.found.archive
    assert archive is not None
    assert (archive.format, archive.entries, archive.files, archive.unpacked) == (form, 3, 1, 1000)
    assert [(entry.name, entry.kind) for entry in archive.listing] == [
        ("folder", "folder"),
        (long, "file"),
        ("link", "link"),
    ]
    assert archive.listing[1].modified == "2025-06-15T15:06:40Z"
    assert archive.listing[2].target == "folder/x"
    assert (looked.codes, archive.complete) == ({"links"}, True)


def test_one_compressed_file_is_unpacked_to_nowhere_and_measured(sandbox: Sandbox) -> None:
    content = gzip.compress(b"a,b\n1,2\n" * 1000) + gzip.compress(b"3,4\n")
    archive = Looked(sandbox, handed(content, "a.csv.gz")).found.archive
    assert archive is not None
    assert (archive.format, archive.unpacked, archive.holds) == ("gzip", 8004, "text/csv")
    assert archive.complete


def test_entries_are_listed_up_to_the_number_that_is_asked_for(sandbox: Sandbox) -> None:
    archive = Looked(sandbox, handed(zipped({f"{n}": b"" for n in range(30)}), "a.zip"), entries=7).found.archive
    assert archive is not None
    assert (archive.entries, len(archive.listing)) == (30, 7)


def test_a_sound_has_its_length_told(sandbox: Sandbox) -> None:
    sound = Looked(sandbox, handed(tone(1.5), "a.wav")).found.sound
    assert sound is not None
    assert (sound.seconds, sound.sample_rate, sound.channels) == (1.5, 8000, 2)


def test_an_empty_file_is_called_so(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(b"", "a.txt"))
    assert looked.found.type.name == "an empty file"
    assert looked.codes == {"empty"}


def test_importing_the_processor_loads_none_of_its_libraries() -> None:
    code = "import sys, helixnet.processors.media; print({'PIL', 'puremagic', 'tinytag', 'backports'} & {*sys.modules})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


@pytest.mark.parametrize("params", [{"thumbnail": 5000}, {"hashes": ["crc"]}, {"entries": -1}, {"depth": 1}])
def test_parameters_out_of_bounds_or_unknown_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InspectParams.model_validate(params)


def test_the_processor_takes_one_file() -> None:
    processor = Registry(PROCESSORS).get("media.inspect")
    assert processor.isolation == "process"
    check_inputs(processor, ["content_key"])


def test_the_example_is_inspected_through_http(stack: Stack) -> None:
    helix = stack.client()
    stored = helix.upload(content=EXAMPLE / "photo.jpg", context=EXAMPLE / "bundle.zip", processor="text.analyze")
    accepted = helix.submit("media.inspect", inputs={"content_key": stored.content_key})
    job = helix.wait(accepted.job_id, 60)
    assert job.status == "COMPLETED", job.error
    assert job.result_content["image"]["thumbnail"] == "thumbnail.webp"
    (thumbnail,) = [each for each in helix.artifacts(job.job_id) if each.filename == "thumbnail.webp"]
    picture = Image.open(io.BytesIO(b"".join(helix.download(job.job_id, thumbnail.id))))
    assert picture.size == (192, 256)
