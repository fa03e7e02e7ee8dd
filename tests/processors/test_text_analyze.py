"""text.analyze: what it finds in a text, and how it answers what its reader asks."""

import asyncio
import subprocess
import sys
import time

import pytest
from pydantic import ValidationError

from helixnet.processors.registry import Registry, check_inputs
from helixnet.processors.text import PROCESSORS
from helixnet.processors.text.analyze import analyze as text_analyze
from helixnet.processors.text.results import Analysis, AnalyzeParams
from tests.processors.local import CHINESE, CONTENT, CONTEXT, GERMAN, JAPANESE, analyze, local, run, spans


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
