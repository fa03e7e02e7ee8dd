"""text.analyze: texts of any encoding are read, what is no text is turned away, and no input takes it down."""

import asyncio
import gzip
import io
import random
import struct
import sys
import tarfile
import tempfile
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helixnet.local.context import LocalContext as FolderContext
from helixnet.local.inputs import LocalInput as FileInput
from helixnet.processors import Reject
from helixnet.processors.text.analyze import analyze as analyze_processor
from helixnet.processors.text.results import Analysis, AnalyzeParams, ScoredSpan
from tests.processors.local import (
    CHINESE,
    CONTENT,
    CZECH,
    ENGLISH,
    FRENCH,
    GERMAN,
    JAPANESE,
    KOREAN,
    RUSSIAN,
    SWEDISH,
    LocalContext,
    LocalInput,
    analyze,
    run,
    spans,
)


def reason(content: bytes) -> str:
    with pytest.raises(Reject) as caught:
        analyze(content)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "encoding", "language"),
    [
        (ENGLISH, "utf-8", "en"),
        (ENGLISH, "utf-8-sig", "en"),
        (ENGLISH, "utf-16", "en"),
        (ENGLISH, "utf-16-le", "en"),
        (ENGLISH, "utf-32", "en"),
        (ENGLISH.replace("'", "’"), "cp1252", "en"),
        (FRENCH, "latin-1", "fr"),
        (GERMAN, "cp1252", "de"),
        (SWEDISH, "latin-1", "sv"),
        (CZECH, "cp1250", "cs"),
        (RUSSIAN, "cp1251", "ru"),
        (RUSSIAN, "koi8_r", "ru"),
        (JAPANESE, "shift_jis", "ja"),
        (JAPANESE, "euc_jp", "ja"),
        (JAPANESE, "iso2022_jp", "ja"),
        (CHINESE, "gb18030", "zh"),
        (CHINESE, "utf-16", "zh"),
        (KOREAN, "euc_kr", "ko"),
    ],
    ids=lambda value: value if len(value) < 10 else "",
)
def test_the_encoding_is_found_out(text: str, encoding: str, language: str) -> None:
    content = text.encode(encoding)
    result = analyze(content)
    assert content.decode(result.encoding.name) == text
    assert result.language.code == language
    assert all(text[span.start : span.end] == span.text for span in spans(result))


def test_line_ends_of_windows_stay_and_part_paragraphs() -> None:
    text = "The first line\r\nruns on. It ends here.\r\n\r\nThe second paragraph.\r\n"
    result = analyze(text.encode(), b"where does it end?")
    assert (result.counts.paragraphs, result.counts.sentences, result.counts.words) == (2, 3, 11)
    assert all(text[span.start : span.end] == span.text for span in spans(result))


def test_a_character_cut_off_at_the_end_is_shown_as_damage() -> None:
    content = (GERMAN * 3).encode()[:-1] + "ß".encode()[:1]
    result = analyze(content)
    assert (result.encoding.name, result.encoding.flaws) == ("utf-8", 1)


def png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\xff")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("notes.txt"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The content is empty."),
        (b" \r\n\t \n", "nothing but white space"),
        (b"--- !!! ...", "no words"),
        (png(), "a PNG image"),
        (gzip.compress(CONTENT), "a gzip archive"),
        (tarred(), "a tar archive"),
        (b"{\\rtf1\\ansi Hello}", "an RTF document"),
        (Path(sys.executable).read_bytes()[:100_000], "program"),
        (random.Random(1).randbytes(10_000), "binary data"),
        (b"\0" * 1000, "binary data"),
        (b"\xff\xfea\0b\0\0\xd8c\0", "UTF-16 text, but it is damaged near byte 6"),
    ],
    ids=["empty", "white", "signs", "png", "gzip", "tar", "rtf", "program", "random", "zeros", "utf16"],
)
def test_what_is_no_text_is_turned_away_in_words(content: bytes, words: str) -> None:
    assert words in reason(content)


def test_a_text_that_begins_like_a_binary_file_is_read() -> None:
    assert analyze(b"ID3 is an algorithm that was made for decision trees.").counts.words == 10


def test_questions_too_large_are_turned_away_before_they_are_read() -> None:
    class Huge(LocalInput):
        @property
        def size(self) -> int:
            return 1024 * 1024 + 1

        async def read(self, limit: int) -> bytes:
            raise AssertionError("it was read")

    with pytest.raises(Reject, match="The context is too large: 1,048,577 bytes, of 1 MiB"):
        run(LocalContext({"content_key": LocalInput(CONTENT), "context_key": Huge(b"")}))


def test_a_context_that_is_no_text_is_named_as_such() -> None:
    with pytest.raises(Reject, match="The context is a PNG image"):
        analyze(CONTENT, png())


@pytest.mark.parametrize(
    "text",
    [
        "word " * 1_000_000,
        "a" * 5_000_000,
        "a " + "!" * 5_000_000 + "a",
        "a. " + '."' * 1_000_000 + "a",
        "a'" * 1_000_000,
        "a" + "\n \t" * 1_600_000 + "b",
        "e" + "\u0301" * 1_000_000,
        "記録" * 100_000,
        "。」" * 400_000 + "x",
    ],
    ids=["no full stop", "one word", "marks", "quotes", "apostrophes", "blank lines", "accents", "Han", "brackets"],
)
def test_a_text_made_to_be_slow_is_not(text: str) -> None:
    start = time.perf_counter()
    result = analyze(text.encode(), b"which word?")
    assert time.perf_counter() - start < 30
    assert all(len(span.text) <= 1200 and text[span.start : span.end] == span.text for span in spans(result))
    assert len(result.model_dump_json()) < 20_000


async def analyzed(content: bytes, asked: bytes) -> tuple[Analysis, str] | None:
    """The result, and the text that its offsets count on; None when it is turned away.

    Any bytes may turn out to be a document, so they are on a disk where documents can be taken apart.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"content_key": content, "context_key": asked} if asked else {"content_key": content}
        for role, given_bytes in files.items():
            (folder / role).write_bytes(given_bytes)
        inputs = {role: FileInput.open(role, folder / role) for role in files}
        context = FolderContext(inputs, folder, show=lambda _event: None)
        try:
            result = await analyze_processor(context, AnalyzeParams(summary_sentences=50))
        except Reject:
            return None
        finally:
            await context.close()
        assert isinstance(result, Analysis)
        text = (folder / result.source.text).read_bytes() if result.source.text else content
    return result, text.decode(result.encoding.name, errors="replace")


def check_offsets(content: bytes, asked: bytes = b"") -> None:
    if found := asyncio.run(analyzed(content, asked)):
        result, text = found
        assert all(text[span.start : span.end] == span.text for span in spans(result))
        assert "\\u0000" not in result.model_dump_json()


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.text(max_size=60))
def test_any_text_is_analysed_with_true_offsets_or_turned_away(text: str, question: str) -> None:
    check_offsets(text.encode(), question.encode(errors="ignore"))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=400))
@example(b"%PDF-")
@example(b"<!DOCTYPE html><p>The ledger is kept by the clerk.")
def test_any_bytes_are_analysed_with_true_offsets_or_turned_away(content: bytes) -> None:
    check_offsets(content)


def test_a_text_that_would_fill_the_memory_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helixnet.processors.text.document.MOST_SPELLINGS", 1000)
    assert "over 1,000 different words" in reason(CONTENT)
    monkeypatch.setattr("helixnet.processors.text.document.MOST_SPELLINGS", 10_000)
    monkeypatch.setattr("helixnet.processors.text.document.MOST_SENTENCES", 100)
    assert "over 100 sentences" in reason(CONTENT)


def test_a_stray_nul_never_reaches_the_result() -> None:
    text = f"The ledger is kept by the clerk.\0The ledger is read by the owner. {GERMAN * 5}"
    result = analyze(text.encode(), f"Who keeps\0the ledger?\n{ENGLISH * 5}".encode(), summary_sentences=20)
    found = spans(result)
    assert any(isinstance(span, ScoredSpan) for span in found)
    assert "\\u0000" not in result.model_dump_json()
    assert all(text[span.start : span.end] == span.text for span in found)
