"""text.analyze: what it finds in texts of many encodings and scripts, and how it turns away what is no text."""

import asyncio
import gzip
import io
import random
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from helixnet.processors import Input, JobContext, Reject
from helixnet.processors.registry import Registry, check_inputs
from helixnet.processors.text import PROCESSORS
from helixnet.processors.text.analyze import LARGEST_CONTENT
from helixnet.processors.text.analyze import analyze as text_analyze
from helixnet.processors.text.results import Analysis, AnalyzeParams, ScoredSpan, Span

EXAMPLES = Path(__file__).parents[2] / "examples"
CONTENT = (EXAMPLES / "content_file.txt").read_bytes()
CONTEXT = (EXAMPLES / "context_file.txt").read_bytes()

ENGLISH = "We'll meet at the café, she said. It cost five euros, and nobody objected to that at all."
FRENCH = "Déjà vu : le café où nous étions allés hier était fermé à cause de la grève, et c'était gênant pour nous."
GERMAN = "Die Bücher müssen geführt werden. Das Gedächtnis ist kürzer als der Streit über Maße und über Größen."
SWEDISH = "Vi för böcker eftersom minnet är kort och grälen är långa. Så är det på många håll också i våra städer."
CZECH = "Vedeme účetní knihy, protože paměť je krátká a hádky jsou dlouhé. Tak je to všude a nejen u nás doma."
RUSSIAN = "Мы ведём книги, потому что память коротка, а споры долгие. Каждый день мы записываем всё, что произошло."
JAPANESE = (
    "データベースは記録を保存します。記録は失われてはなりません。管理者は毎日データベースの記録を確認します。\r\n\r\n"
    "請求書は会計部が管理します。会計部は月末に請求書を発行します。"
)
CHINESE = "数据库保存记录。记录不能丢失。管理员每天检查数据库的记录。\n\n发票由会计部门管理。会计部门在月底开具发票。"
KOREAN = "우리는 장부를 기록한다. 기억은 짧고 다툼은 길기 때문이다. 매일 일어난 일을 모두 적어 둔다."


@dataclass(frozen=True)
class LocalInput:
    """An input whose bytes are at hand."""

    content: bytes
    filename: str = "file.txt"
    key: str = "local/file.txt"

    @property
    def size(self) -> int:
        return len(self.content)

    async def read(self, limit: int) -> bytes:
        if len(self.content) > limit:
            raise Reject("too large")
        return self.content

    async def stream(self) -> AsyncIterator[bytes]:
        yield self.content


@dataclass
class LocalContext:
    """An implementation of JobContext without the platform, for running a processor locally."""

    inputs: Mapping[str, Input]
    job_id: UUID = field(default_factory=uuid4)
    attempt: int = 1
    cancelled: bool = False
    steps: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def progress(self, fraction: float, message: str = "") -> None:
        assert message
        self.steps.append(fraction)

    async def log(self, message: str, **fields: object) -> None:
        self.lines.append(message)

    async def write(
        self, name: str, content: bytes | AsyncIterator[bytes], media_type: str = "application/octet-stream"
    ) -> str:
        raise AssertionError("text.analyze writes no artifacts")


def local(content: bytes, context: bytes | None = None) -> LocalContext:
    inputs: dict[str, Input] = {"content_key": LocalInput(content)}
    if context is not None:
        inputs["context_key"] = LocalInput(context)
    return LocalContext(inputs)


def run(context: JobContext, **params: int) -> Analysis:
    result = asyncio.run(text_analyze(context, AnalyzeParams.model_validate(params)))
    assert isinstance(result, Analysis)
    return result


def analyze(content: bytes, context: bytes | None = None, **params: int) -> Analysis:
    return run(local(content, context), **params)


def spans(result: Analysis) -> list[Span]:
    return [*result.summary, *(span for answer in result.passages for span in answer.found)]


def reason(content: bytes) -> str:
    with pytest.raises(Reject) as caught:
        analyze(content)
    return caught.value.reason


@pytest.fixture(scope="module")
def handbook() -> Analysis:
    return analyze(CONTENT, CONTEXT)


def test_the_example_is_counted_and_its_language_told(handbook: Analysis) -> None:
    text = CONTENT.decode()
    assert handbook.encoding.size == len(CONTENT)
    assert handbook.counts.characters == len(text)
    assert handbook.counts.words > 5000
    assert handbook.counts.words == pytest.approx(len(text.split()), rel=0.01)
    assert 350 < handbook.counts.sentences < 420
    assert handbook.counts.paragraphs == len([part for part in text.split("\n\n") if part.strip()])
    assert 1000 < handbook.counts.unique_words < 2000
    assert 20 < handbook.counts.reading_minutes < 30
    assert (handbook.language.code, handbook.language.name) == ("en", "English")
    assert handbook.language.confidence > 0.9


def test_each_question_of_the_example_finds_the_paragraph_that_answers_it(handbook: Analysis) -> None:
    expected = [
        "four fifths of the time, five times as long",
        "multiplied by the average time that each of them stays",
        "the stick was split along its length",
        "The first was the memorial",
        "the result is accepted only from the holder of the latest one",
        "the difference between a signal and a record",
        "to wait longer each time",
        "delete by rule",
    ]
    assert [answer.question for answer in handbook.passages] == CONTEXT.decode().splitlines()
    for answer, words in zip(handbook.passages, expected, strict=True):
        assert any(words in passage.text for passage in answer.found), answer.question
        scores = [passage.score for passage in answer.found]
        assert scores == sorted(scores, reverse=True)
        assert 0 < scores[-1] <= scores[0] <= 1


def test_offsets_hold_on_the_decoded_text(handbook: Analysis) -> None:
    text = CONTENT.decode(handbook.encoding.name)
    found = spans(handbook)
    assert len(found) == 5 + 8 * 3
    assert all(text[span.start : span.end] == span.text for span in found)


def test_the_summary_is_whole_sentences_in_the_order_of_the_text(handbook: Analysis) -> None:
    starts = [sentence.start for sentence in handbook.summary]
    assert starts == sorted(starts)
    assert all(sentence.text[0].isupper() and sentence.text.endswith(".") for sentence in handbook.summary)


def test_key_phrases_are_what_the_example_is_about(handbook: Analysis) -> None:
    phrases = {phrase.text.lower() for phrase in handbook.key_phrases}
    assert {"book", "bell", "record", "job"} <= phrases
    assert not phrases & {"the", "and", "is"}
    assert handbook.key_phrases[0].score == 1
    assert all(phrase.count >= 2 for phrase in handbook.key_phrases)


def test_the_result_survives_json(handbook: Analysis) -> None:
    assert Analysis.model_validate_json(handbook.model_dump_json()) == handbook


def test_five_thousand_words_take_less_than_a_second(handbook: Analysis) -> None:
    start = time.perf_counter()
    analyze(CONTENT, CONTEXT)
    assert time.perf_counter() - start < 1


def test_progress_rises_to_one_and_the_log_tells_what_was_read() -> None:
    context = local(CONTENT, CONTEXT)
    run(context)
    assert context.steps == sorted(context.steps)
    assert context.steps[-1] == 1
    assert any("the language is English" in line for line in context.lines)


def test_a_cancelled_attempt_stops_early() -> None:
    context = local(CONTENT, CONTEXT)
    context.cancelled = True
    assert asyncio.run(text_analyze(context, AnalyzeParams())) is None
    assert context.steps[-1] < 0.5


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


def test_japanese_is_counted_by_character_and_searched_by_term() -> None:
    result = analyze(JAPANESE.encode(), "請求書は誰が管理しますか？".encode(), passages=1)
    assert (result.counts.sentences, result.counts.paragraphs) == (5, 2)
    assert 60 < result.counts.words < len(JAPANESE)
    assert {"請求書", "データベース"} <= {phrase.text for phrase in result.key_phrases}
    assert "会計部" in result.passages[0].found[0].text


def test_chinese_is_counted_by_character_and_searched_by_term() -> None:
    result = analyze(CHINESE.encode(), "发票由谁管理？".encode())
    assert (result.counts.sentences, result.counts.paragraphs) == (5, 2)
    assert {"会计部门", "数据库"} <= {phrase.text for phrase in result.key_phrases}
    assert "发票" in result.passages[0].found[0].text


def test_words_of_hindi_are_not_cut_at_their_vowel_signs() -> None:
    result = analyze("हिन्दी में लिखा गया है। यह दूसरा वाक्य है।".encode())
    assert (result.counts.words, result.counts.sentences) == (9, 2)


def test_abbreviations_and_numbers_do_not_end_a_sentence() -> None:
    result = analyze(b'Dr. Smith met J. R. Jones on p. 5. They spoke, e.g. about 3.14. "Really?" she asked. Yes!')
    assert result.counts.sentences == 4


@pytest.mark.parametrize("text", ["ok", "12 345 6,7", "xqzt vrrp klmn ptzz", "Zürich"])
def test_too_little_text_has_an_unknown_language(text: str) -> None:
    language = analyze(text.encode()).language
    assert (language.code, language.name, language.confidence) == ("und", "unknown", 0)


def png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\xff")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    return file.getvalue()


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
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (png(), "a PNG image"),
        (gzip.compress(CONTENT), "a gzip archive"),
        (zipped(), "a ZIP archive"),
        (tarred(), "a tar archive"),
        (b"{\\rtf1\\ansi Hello}", "an RTF document"),
        (Path(sys.executable).read_bytes()[:100_000], "program"),
        (random.Random(1).randbytes(10_000), "binary data"),
        (b"\0" * 1000, "binary data"),
        (b"\xff\xfea\0b\0\0\xd8c\0", "UTF-16 text, but it is damaged near byte 6"),
    ],
    ids=["empty", "white", "signs", "pdf", "png", "gzip", "zip", "tar", "rtf", "program", "random", "zeros", "utf16"],
)
def test_what_is_no_text_is_turned_away_in_words(content: bytes, words: str) -> None:
    assert words in reason(content)


def test_a_text_that_begins_like_a_binary_file_is_read() -> None:
    assert analyze(b"ID3 is an algorithm that was made for decision trees.").counts.words == 10


def test_a_file_too_large_is_turned_away_before_it_is_read() -> None:
    class Huge(LocalInput):
        @property
        def size(self) -> int:
            return LARGEST_CONTENT + 1

        async def read(self, limit: int) -> bytes:
            raise AssertionError("it was read")

    with pytest.raises(Reject, match="too large: 33,554,433 bytes, of 32 MiB"):
        run(LocalContext({"content_key": Huge(b"")}))


def test_a_context_that_is_no_text_is_named_as_such() -> None:
    with pytest.raises(Reject, match="The context is a PNG image"):
        analyze(CONTENT, png())


@pytest.mark.parametrize("context", [None, b"", b"\n \n"])
def test_without_questions_there_are_no_passages(context: bytes | None) -> None:
    assert analyze(CONTENT, context).passages == []


def test_a_question_about_something_else_finds_nothing() -> None:
    (answer,) = analyze(b"Ledgers keep what queues promise.", b"Photosynthesis of algae?").passages
    assert answer.found == []


def test_bullets_wrapped_lines_and_several_questions_a_line_are_told_apart() -> None:
    context = b"# To find out\n- What is a queue?\n- Who keeps\n  the ledger? And why?\n2) seals and tallies\n"
    asked = [answer.question for answer in analyze(CONTENT, context).passages]
    assert asked == ["To find out", "What is a queue?", "Who keeps the ledger?", "And why?", "seals and tallies"]


def test_a_long_context_is_taken_as_one_question() -> None:
    (answer,) = analyze(CONTENT, b"What rings the bell?\n" * 21, passages=1).passages
    assert answer.question.startswith("What rings the bell? What rings")
    assert "bell" in answer.found[0].text


def test_questions_in_another_language_are_remarked_on() -> None:
    context = local(CONTENT, GERMAN.encode())
    run(context)
    assert any("questions are in German and the text is in English" in line for line in context.lines)


def test_parameters_bound_what_is_found() -> None:
    result = analyze(CONTENT, CONTEXT, summary_sentences=2, key_phrases=3, passages=1)
    assert (len(result.summary), len(result.key_phrases)) == (2, 3)
    assert {len(answer.found) for answer in result.passages} == {1}
    nothing = analyze(CONTENT, CONTEXT, summary_sentences=0, key_phrases=0, passages=0)
    assert (nothing.summary, nothing.key_phrases, spans(nothing)) == ([], [], [])


@pytest.mark.parametrize("params", [{"summary_sentences": 51}, {"passages": -1}, {"sentences": 3}])
def test_parameters_out_of_bounds_or_unknown_are_refused(params: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        AnalyzeParams.model_validate(params)


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


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.text(max_size=60))
def test_any_text_is_analysed_with_true_offsets_or_turned_away(text: str, question: str) -> None:
    content = text.encode()
    try:
        result = analyze(content, question.encode(errors="ignore"), summary_sentences=50)
    except Reject as rejected:
        assert rejected.reason.endswith(".")
        return
    decoded = content.decode(result.encoding.name, errors="replace")
    assert all(decoded[span.start : span.end] == span.text for span in spans(result))
    assert "\\u0000" not in result.model_dump_json()


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=400))
def test_any_bytes_are_analysed_with_true_offsets_or_turned_away(content: bytes) -> None:
    try:
        result = analyze(content, summary_sentences=50)
    except Reject as rejected:
        assert rejected.reason.endswith(".")
        return
    decoded = content.decode(result.encoding.name, errors="replace")
    assert all(decoded[span.start : span.end] == span.text for span in spans(result))


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


def test_the_processor_is_for_everyone_and_takes_the_roles_of_an_upload() -> None:
    processor = Registry(PROCESSORS).get("text.analyze")
    assert not processor.development_only
    assert processor.queue == "default"
    check_inputs(processor, ["content_key", "context_key"])
    check_inputs(processor, ["content_key"])


def test_importing_the_processor_loads_none_of_its_libraries() -> None:
    code = (
        "import sys, helixnet.processors.text; print({'charset_normalizer','stopwordsiso','Stemmer'} & {*sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
