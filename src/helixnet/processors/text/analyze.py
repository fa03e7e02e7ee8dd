"""The steps of `text.analyze`: read, decode, take apart, and find phrases, a summary and answers."""

import asyncio
from datetime import timedelta

from helixnet.processors.base import InputRole, Processor, Reject
from helixnet.processors.context import JobContext
from helixnet.processors.text.decoding import Decoded, decode
from helixnet.processors.text.document import Document
from helixnet.processors.text.language import UNKNOWN, Language, detect
from helixnet.processors.text.passages import answer, questions
from helixnet.processors.text.phrases import key_phrases
from helixnet.processors.text.results import (
    Analysis,
    AnalyzeParams,
    Answer,
    Counts,
    Encoding,
    KeyPhrase,
    LanguageFound,
    ScoredSpan,
    Span,
)
from helixnet.processors.text.summary import summarise

LARGEST_CONTENT = 32 * 1024 * 1024
LARGEST_CONTEXT = 1024 * 1024
LONGEST_QUESTION = 2000
"""Characters of a question that the result repeats."""
WORDS_A_MINUTE = 238
"""Silent reading of English prose by adults: Brysbaert 2019, a meta-analysis of 190 studies."""
CHARACTERS_A_MINUTE = {"ja": 357}
OTHER_CHARACTERS_A_MINUTE = 255
"""Japanese, and Chinese: Trauzettel-Klosinski and Dietz 2012, the reading speeds of seventeen languages."""


async def analyze(context: JobContext, params: AnalyzeParams) -> Analysis | None:
    """Analyse the text under `content_key` for the reader whose questions are under `context_key`, if given.

    Raises Reject if either file is no text, or is too large: over 32 MiB, and over 1 MiB for the questions.
    """
    await context.progress(0.02, "Reading the text")
    raw = await _read(context, "content_key", LARGEST_CONTENT, "content")
    content = await asyncio.to_thread(decode, raw, "content")
    size = len(raw)
    del raw  # up to 32 MiB
    asked_text = await _context_text(context)

    if not await _goes_on(context, 0.15, "Counting words and telling the language"):
        return None
    document = await asyncio.to_thread(Document, content.text)
    if not document.words:
        raise Reject("The text holds no words, only signs.")
    counts = _counts(document)
    language = document.language
    await context.log(
        f"Read {counts.words:,} words in {counts.sentences:,} sentences; the language is {language.name}.",
        encoding=content.encoding,
        bytes=size,
        language=language.code,
        confidence=language.confidence,
    )

    if not await _goes_on(context, 0.4, "Finding key phrases"):
        return None
    phrases = await asyncio.to_thread(key_phrases, document, params.key_phrases)

    if not await _goes_on(context, 0.65, "Summing up"):
        return None
    summary = await asyncio.to_thread(summarise, document, params.summary_sentences)

    if not await _goes_on(context, 0.85, "Looking for answers"):
        return None
    asked = await asyncio.to_thread(questions, asked_text, params.questions) if asked_text else []
    await _tell_questions(context, asked, asked_text, language)
    found = await asyncio.to_thread(answer, document, asked, params.passages)

    await context.progress(1.0, "Done")
    text = document.text
    return Analysis(
        encoding=_encoding(content, size),
        counts=counts,
        language=LanguageFound(code=language.code, name=language.name, confidence=language.confidence),
        key_phrases=[KeyPhrase(text=each.text, score=each.score, count=each.count) for each in phrases],
        summary=[Span(text=text[each.start : each.end], start=each.start, end=each.end) for each in summary],
        passages=[
            Answer(
                question=question[:LONGEST_QUESTION],
                found=[
                    ScoredSpan(text=text[each.start : each.end], start=each.start, end=each.end, score=each.score)
                    for each in passages
                ],
            )
            for question, passages in zip(asked, found, strict=True)
        ],
    )


async def _read(context: JobContext, role: str, limit: int, what: str) -> bytes:
    """The input's bytes. Its size is known beforehand, so a large one is turned away without being read."""
    given = context.inputs.get(role)
    if given is None:
        raise Reject(f"There is no {what} to read: the job has no {role}.")
    if given.size > limit:
        raise Reject(f"The {what} is too large: {given.size:,} bytes, of {limit // 1024 // 1024} MiB that are allowed.")
    return await given.read(limit)


async def _goes_on(context: JobContext, fraction: float, message: str) -> bool:
    """Tell what comes next; false if the attempt was told to stop."""
    await context.progress(fraction, message)
    return not context.cancelled


async def _context_text(context: JobContext) -> str:
    """The reader's questions; an empty file asks nothing, which is no fault of the text."""
    if "context_key" not in context.inputs:
        return ""
    raw = await _read(context, "context_key", LARGEST_CONTEXT, "context")
    if not raw.strip():
        return ""
    return (await asyncio.to_thread(decode, raw, "context")).text


async def _tell_questions(context: JobContext, asked: list[str], asked_text: str, language: Language) -> None:
    if not asked:
        await context.log("The context asks nothing, so no passages were looked for.")
        return
    asked_in = await asyncio.to_thread(detect, asked_text)
    await context.log(f"Looking for passages on {len(asked)} question(s).", questions=len(asked))
    if UNKNOWN not in (asked_in, language) and asked_in.code != language.code:
        await context.log(
            f"The questions are in {asked_in.name} and the text is in {language.name}: only words that both share "
            "can be found."
        )


def _encoding(content: Decoded, size: int) -> Encoding:
    return Encoding(name=content.encoding, bom=content.bom, size=size, flaws=content.flaws)


def _counts(document: Document) -> Counts:
    words = document.words
    characters = sum(count for word, count in document.frequencies.items() if words.unspaced[word])
    by_character = CHARACTERS_A_MINUTE.get(document.language.code, OTHER_CHARACTERS_A_MINUTE)
    return Counts(
        characters=len(document.text),
        words=len(words),
        sentences=document.sentence_count,
        paragraphs=document.paragraph_count,
        unique_words=len(words.vocabulary),
        reading_minutes=round((len(words) - characters) / WORDS_A_MINUTE + characters / by_character, 1),
    )


ANALYZE = Processor(
    name="text.analyze",
    version="1",
    description="Reads a text in any encoding: counts, language, key phrases, a summary, and answers to questions.",
    run=analyze,
    params=AnalyzeParams,
    inputs={
        "content_key": InputRole("The text to analyse, in any encoding."),
        "context_key": InputRole("What the reader wants to know: a question a line, say.", required=False),
    },
    queue="default",
    time_limit=timedelta(minutes=10),
)
