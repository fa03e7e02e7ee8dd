"""media.inspect on files made to do harm: each has an answer within the limits, and the next job runs."""

import dataclasses
import gzip
import hashlib
import lzma
import random
import struct
import tarfile
import zlib
from collections.abc import Callable

import pytest

from helixnet.processors import ProcessLimits
from helixnet.processors.media import INSPECT
from helixnet.processors.media.archives import MOST_ENTRIES
from helixnet.processors.media.results import Inspection
from helixnet.worker.isolation.errors import ProcessorFailed
from tests.processors.sandbox import HandedInput, Sandbox, SandboxContext, handed
from tests.processors.test_media_inspect import EXAMPLE, Looked, example, image, member, tarred, tone, zipped

MEBIBYTE = 1024 * 1024


def deflated(content: bytes) -> bytes:
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return machine.compress(content) + machine.flush()


def archive(kernel: bytes, size: int, names: list[str], *, local: str = "a", flags: int = 0) -> bytes:
    """A ZIP archive with one packed piece, which every name in its directory claims to be its own."""
    crc = 0
    head = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, flags, 8, 0, 0, crc, len(kernel), size, len(local), 0)
    body = head + local.encode() + kernel
    directory = b"".join(
        struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, flags, 8, 0, 0, crc, len(kernel), size, len(name), 0, 0, 0, 0, 0, 0
        )
        + name.encode()
        for name in names
    )
    count = min(len(names), 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + end


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))

    header = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in ((b"IHDR", header), *chunks, (b"IEND", b"")))


def nested(depth: int) -> bytes:
    content = zipped({"zeros": bytes(16 * MEBIBYTE)})
    for _ in range(depth):
        content = zipped({f"lib {number}.zip": content for number in range(16)})
    return content


def test_a_bomb_whose_files_share_their_bytes_is_seen_in_its_directory(sandbox: Sandbox) -> None:
    kernel = deflated(bytes(20 * MEBIBYTE))
    looked = Looked(sandbox, handed(archive(kernel, 20 * MEBIBYTE, [f"{number}" for number in range(1000)]), "a.zip"))
    assert {"overlaps", "bomb"} <= looked.codes
    assert looked.found.archive is not None
    assert looked.found.archive.unpacked == 1000 * 20 * MEBIBYTE


def test_a_bomb_of_archives_in_archives_is_not_opened(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(nested(3), "42.zip"))
    assert "nested" in looked.codes
    (warned,) = [each for each in looked.found.warnings if each.code == "nested"]
    assert "16" in warned.message


def test_a_size_that_cannot_be_is_not_believed(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(archive(deflated(b"small"), 4_000_000_000, ["a"]), "a.zip"))
    assert {"impossible", "bomb"} <= looked.codes


def test_encrypted_entries_are_counted(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(archive(deflated(b"secret"), 6, ["a"], flags=1), "a.zip"))
    assert looked.found.archive is not None
    assert looked.found.archive.encrypted == 1
    assert "encrypted" in looked.codes


def test_an_archive_of_more_entries_than_are_looked_at_says_so(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(archive(b"", 0, ["x"] * (MOST_ENTRIES + 1)), "a.zip"))
    assert looked.found.archive is not None
    assert looked.found.archive.entries == MOST_ENTRIES
    assert not looked.found.archive.complete
    assert {"entries", "twice"} <= looked.codes


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/etc/passwd", "C:\\windows\\a", "..\\a", "\\\\server\\a", "a/b/../../../c"]
)
def test_names_that_lead_out_are_warned_of(sandbox: Sandbox, name: str) -> None:
    assert "outside" in Looked(sandbox, handed(archive(b"", 0, [name]), "a.zip")).codes
    assert "outside" in Looked(sandbox, handed(tarred([member(name)]), "a.tar")).codes


def test_names_that_show_as_others_are_warned_of_and_made_harmless(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(zipped({"photo\u202egpj.exe": b"", "a\x1b[2Jb": b""}), "a.zip"))
    assert looked.codes == {"hidden_signs"}
    assert looked.found.archive is not None
    assert [entry.name for entry in looked.found.archive.listing] == ["photo\ufffdgpj.exe", "a\ufffd[2Jb"]


def test_links_and_devices_of_a_tar_archive_are_warned_of(sandbox: Sandbox) -> None:
    members = [
        member("a", kind=tarfile.SYMTYPE, target="../../etc/passwd"),
        member("b", kind=tarfile.LNKTYPE, target="/etc/passwd"),
        member("d/c", kind=tarfile.SYMTYPE, target="../fine"),
        member("e", kind=tarfile.CHRTYPE),
        member("f", kind=tarfile.FIFOTYPE),
    ]
    looked = Looked(sandbox, handed(tarred(members), "a.tar"))
    assert looked.codes == {"links", "links_outside", "devices"}


def test_ten_million_entries_of_a_tar_archive_are_not_all_waited_for(sandbox: Sandbox) -> None:
    block = member("a").tobuf(tarfile.USTAR_FORMAT)
    piece = gzip.compress(block * 50_000)
    looked = Looked(sandbox, handed(piece * 200, "a.tar.gz"))
    assert looked.found.archive is not None
    assert looked.found.archive.entries == MOST_ENTRIES
    assert not looked.found.archive.complete
    assert "entries" in looked.codes


def test_a_header_that_claims_gigabytes_is_passed_over(sandbox: Sandbox) -> None:
    huge = member("huge", 3 * 1024**3, tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT)
    looked = Looked(sandbox, handed(gzip.compress(huge + bytes(8192)), "a.tar.gz"))
    assert "header_too_long" in looked.codes


def test_a_damaged_tar_archive_is_listed_up_to_the_damage(sandbox: Sandbox) -> None:
    good = tarred([member("a", 100), member("b", 100)])
    looked = Looked(sandbox, handed(good[:1024] + b"x" * 5000, "a.tar"))
    assert looked.found.archive is not None
    assert [entry.name for entry in looked.found.archive.listing] == ["a"]
    assert "damaged" in looked.codes
    assert "cut_off" in Looked(sandbox, handed(good[:1200], "a.tar")).codes


@pytest.mark.parametrize("count", [4, 1000])
def test_a_gzip_bomb_is_stopped_where_it_is_known_for_one(sandbox: Sandbox, count: int) -> None:
    piece = gzip.compress(bytes(100 * MEBIBYTE))
    looked = Looked(sandbox, handed(piece * count, "a.gz"))
    archived = looked.found.archive
    assert archived is not None
    assert "bomb" in looked.codes
    assert not archived.complete
    assert 256 * MEBIBYTE < archived.unpacked < 257 * MEBIBYTE


def test_what_asks_for_too_much_memory_is_not_unpacked(sandbox: Sandbox) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 * MEBIBYTE, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    looked = Looked(sandbox, handed(lzma.compress(b"small", lzma.FORMAT_XZ, filters=filters), "a.xz"))
    assert looked.codes == {"memory"}


@pytest.mark.parametrize("cut", [12, 200, 5000])
def test_a_compressed_file_that_is_cut_off_is_measured_so_far(sandbox: Sandbox, cut: int) -> None:
    content = gzip.compress(random.Random(1).randbytes(100_000))[:cut]
    looked = Looked(sandbox, handed(content, "a.gz"))
    assert looked.codes == {"damaged"}


def test_an_image_that_would_fill_the_memory_is_measured_and_not_decoded(sandbox: Sandbox) -> None:
    pixels = zlib.compress(bytes(50 * MEBIBYTE))
    looked = Looked(sandbox, handed(png(50_000, 50_000, (b"IDAT", pixels)), "a.png"))
    assert looked.found.image is not None
    assert (looked.found.image.width, looked.found.image.height) == (50_000, 50_000)
    assert looked.codes == {"too_many_pixels"}
    assert looked.context.written == {}


def test_the_largest_image_that_is_decoded_fits_into_the_memory(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(image("PNG", (7071, 7071)), "a.png"))
    assert looked.artifact("thumbnail.webp").size == (256, 256)


def test_text_in_an_image_that_unpacks_to_gigabytes_is_not_unpacked(sandbox: Sandbox) -> None:
    text = b"Comment\x00\x00" + zlib.compress(bytes(200 * MEBIBYTE))
    looked = Looked(sandbox, handed(png(8, 8, (b"zTXt", text), (b"IDAT", zlib.compress(bytes(200)))), "a.png"))
    assert looked.found.type.media_type == "image/png"


def test_a_photo_that_is_cut_off_has_its_size_told_and_no_thumbnail(sandbox: Sandbox) -> None:
    whole = (EXAMPLE / "photo.jpg").read_bytes()
    looked = Looked(sandbox, handed(whole[: len(whole) // 2], "a.jpg"))
    assert looked.found.image is not None
    assert (looked.found.image.width, looked.found.image.thumbnail) == (640, None)
    assert looked.codes == {"damaged"}


def test_a_chain_of_pages_that_bites_its_tail_ends(sandbox: Sandbox) -> None:
    content = bytearray(image("TIFF"))
    (first,) = struct.unpack_from("<L", content, 4)
    (tags,) = struct.unpack_from("<H", content, first)
    struct.pack_into("<L", content, first + 2 + 12 * tags, first)
    assert Looked(sandbox, handed(bytes(content), "a.tif")).found.image is not None


def test_two_files_in_one_are_seen(sandbox: Sandbox) -> None:
    looked = Looked(sandbox, handed(image("PNG") + zipped({"a": b"a"}), "a.png"))
    assert "two_in_one" in looked.codes


@pytest.mark.parametrize(
    "text",
    [
        "[" * 2_000_000,
        '{"a":' * 400_000,
        "<!--" * 500_000,
        "<!" + "a" * 2_000_000,
        "<!a[" + "] " * 1_000_000,
        "<!a[]" + " " * 2_000_000,
        "<!a>" * 500_000,
        "<?xml " + "<a " * 500_000,
        '"' * 1_999_999 + "\n,\n",
        "From: " * 300_000,
        "-----BEGIN " + "A" * 2_000_000,
        "#! " + "/" * 2_000_000,
        "\n" * 2_000_000,
        "," * 2_000_000,
        "\u202e" * 500_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_no_text_makes_telling_its_kind_slow(sandbox: Sandbox, text: str) -> None:
    quick = dataclasses.replace(INSPECT, limits=dataclasses.replace(INSPECT.limits, cpu_seconds=10))
    context = SandboxContext({"content_key": handed(text.encode(), "a.txt")})
    assert Inspection.model_validate(sandbox.run(quick, context)).size == len(text.encode())


SEEDS: list[Callable[[], bytes]] = [
    lambda: example("photo.jpg").pieces()[0],  # type: ignore[index]
    lambda: example("bundle.zip").pieces()[0],  # type: ignore[index]
    lambda: image("PNG"),
    lambda: image("GIF"),
    lambda: image("TIFF"),
    lambda: image("WEBP"),
    lambda: image("ICO"),
    lambda: image("AVIF"),
    lambda: tarred([member("a", 100), member("b", 9, tarfile.SYMTYPE, "c")]),
    lambda: gzip.compress(tarred([member("a", 100)])),
    lambda: lzma.compress(b"abc" * 100),
    lambda: tone(0.2),
]


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_damage_of_any_kind_still_has_an_answer(sandbox: Sandbox, seed: int) -> None:
    whole, chance = SEEDS[seed](), random.Random(seed)
    for _ in range(15):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 12)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        del content[chance.randrange(len(content) // 2, len(content) + 1) :]
        found = Looked(sandbox, handed(bytes(content), "a")).found
        assert found.size == len(content)


def test_a_file_that_is_larger_than_the_memory_streams_through(sandbox: Sandbox) -> None:
    small = dataclasses.replace(INSPECT, limits=ProcessLimits(memory_bytes=200 * MEBIBYTE, file_bytes=MEBIBYTE))
    piece = random.Random(1).randbytes(MEBIBYTE)
    large = HandedInput(lambda: (piece for _ in range(400)), "a.bin")
    found = Inspection.model_validate(sandbox.run(small, SandboxContext({"content_key": large})))
    assert found.size == 400 * MEBIBYTE
    assert found.hashes["sha256"] == hashlib.sha256(piece * 400).hexdigest()


def test_what_runs_into_the_limits_of_its_process_fails_by_them_and_the_next_job_runs(sandbox: Sandbox) -> None:
    small = dataclasses.replace(INSPECT, limits=ProcessLimits(memory_bytes=300 * MEBIBYTE))
    with pytest.raises(ProcessorFailed) as caught:
        sandbox.run(small, SandboxContext({"content_key": handed(image("PNG", (7071, 7071)), "a.png")}))
    assert caught.value.kind == "limit"

    assert Looked(sandbox, example("photo.jpg")).found.type.media_type == "image/jpeg"
