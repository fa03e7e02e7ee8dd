"""text.analyze on texts that are too large to be held: what adds up exactly, and what comes close."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from helixnet.processors.text import ANALYZE
from helixnet.processors.text.results import Analysis
from helixnet.processors.text.streaming import Stream, chunks
from tests.processors.local import (
    CHINESE,
    CONTENT,
    CONTEXT,
    GERMAN,
    JAPANESE,
    RUSSIAN,
    LocalContext,
    LocalInput,
    analyze,
    run,
    spans,
)
from tests.processors.sandbox import Sandbox

MEBIBYTE = 1024 * 1024


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of some ten thousand characters, from the first byte over thirty thousand on."""
    monkeypatch.setattr("helixnet.processors.text.source.LARGEST_WHOLE", 30_000)
    monkeypatch.setattr("helixnet.processors.text.streaming.SAMPLE_BYTES", 4096)
    default = list(chunks.__defaults__ or ())
    monkeypatch.setattr(chunks, "__defaults__", (10_000, *default[1:]))


def test_counts_of_chunks_add_up_to_those_of_the_whole(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = analyze(CONTENT, CONTEXT)
    monkeypatch.setattr("helixnet.processors.text.source.LARGEST_WHOLE", 32 * MEBIBYTE)
    whole = analyze(CONTENT, CONTEXT)

    assert parts.source.chunks > 2
    assert whole.source.chunks == 1
    assert parts.counts == whole.counts
    assert parts.encoding == whole.encoding.model_copy(update={"name": "utf-8"})
    assert parts.source.approximate == ["language", "key_phrases", "summary", "passages"]


def test_offsets_of_chunks_count_on_the_whole_file(small_chunks: None) -> None:
    result = analyze(CONTENT, CONTEXT)

    text = CONTENT.decode(result.encoding.name)
    found = spans(result)
    assert len(found) == 5 + 8 * 3
    assert all(text[span.start : span.end] == span.text for span in found)
    assert [span.start for span in result.summary] == sorted(span.start for span in result.summary)
    assert max(span.end for span in found) > 20_000


def test_chunks_find_what_the_whole_is_about(small_chunks: None) -> None:
    result = analyze(CONTENT, CONTEXT)

    assert result.language.code == "en"
    assert {"book", "record", "job"} <= {phrase.text.lower() for phrase in result.key_phrases}
    assert result.key_phrases[0].score == 1
    for answer, words in zip(
        result.passages, ("five times as long", "the average time that each of them"), strict=False
    ):
        assert any(words in passage.text for passage in answer.found), answer.question
        assert [each.score for each in answer.found] == sorted((each.score for each in answer.found), reverse=True)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "cp1252"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (RUSSIAN, "koi8_r"),
        (JAPANESE, "shift_jis"),
        (CHINESE, "utf-8"),
        (CHINESE, "gb18030"),
    ],
)
def test_any_encoding_is_read_in_chunks(small_chunks: None, text: str, encoding: str) -> None:
    whole = f"{text}\n\n" * (40_000 // len(text.encode(encoding)) + 1)
    content = whole.encode(encoding)

    result = analyze(content)

    assert result.source.chunks > 1
    assert result.encoding.flaws == 0
    assert content.decode(result.encoding.name) == whole
    assert all(whole[span.start : span.end] == span.text for span in spans(result))


def test_a_cancelled_attempt_stops_after_a_chunk(small_chunks: None) -> None:
    context = LocalContext({"content_key": LocalInput(CONTENT)})
    context.cancelled = True

    assert asyncio.run(ANALYZE.run(context, ANALYZE.params())) is None
    assert len(context.steps) == 2
    assert context.steps[-1] < 1


def test_progress_of_chunks_rises_to_one(small_chunks: None) -> None:
    context = LocalContext({"content_key": LocalInput(CONTENT)})

    run(context)

    assert context.steps == sorted(context.steps)
    assert context.steps[-1] == 1
    assert len(context.steps) > 4


def test_nothing_is_lost_between_chunks_and_they_end_at_paragraphs() -> None:
    rng = random.Random(7)
    text = "\n\n".join(" ".join("word" for _ in range(rng.randrange(1, 90))) + "." for _ in range(400))

    async def cut() -> list[str]:
        async def pieces() -> AsyncIterator[str]:
            for start in range(0, len(text), 777):
                yield text[start : start + 777]

        return [chunk async for chunk in chunks(pieces(), 5000)]

    found = asyncio.run(cut())

    assert "".join(found) == text
    assert len(found) > 10
    assert all(chunk.endswith("\n\n") for chunk in found[:-1])


def test_a_character_at_the_edge_of_the_sample_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ß" * 300_000 + " words of the end"

    async def read() -> tuple[str, Stream]:
        stream = Stream(LocalInput(b"x" + text.encode()))
        return "".join([piece async for piece in stream.pieces()]), stream

    monkeypatch.setattr("helixnet.processors.text.streaming.SAMPLE_BYTES", 256 * 1024)
    found, stream = asyncio.run(read())

    assert (found, stream.encoding, stream.flaws) == ("x" + text, "utf-8", 0)


def test_a_text_over_the_limit_of_the_whole_is_analysed_in_bounded_memory(sandbox: Sandbox, tmp_path: Path) -> None:
    """Forty megabytes, few of them words, in an address space that the program itself fills for the most part."""
    block = CONTENT[:500] + b"=" * 49_498 + b"\n\n"
    with (tmp_path / "long.txt").open("wb") as file:
        for _ in range(800):
            file.write(block)
    tight = replace(ANALYZE, limits=replace(ANALYZE.limits, memory_bytes=384 * MEBIBYTE))

    ended = sandbox.end(tight, {"content_key": ("long.txt", tmp_path / "long.txt")}, summary_sentences=2)

    assert ended.error == {}
    result = Analysis.model_validate(ended.result)
    assert result.source.chunks == 10
    assert result.counts.characters == 800 * len(block)
    assert result.counts.words == 800 * analyze(block).counts.words
    assert len(result.summary) == 2
