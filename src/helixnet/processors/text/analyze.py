"""The steps of `text.analyze`: read, decode, take apart, and find phrases, a summary and answers."""

import asyncio
from datetime import timedelta

from helixnet.processors.base import InputRole, Output, ProcessLimits, Processor, Reject, RetryPolicy
from helixnet.processors.context import Input, JobContext
from helixnet.processors.text.counting import Tally, tally
from helixnet.processors.text.decoding import decode
from helixnet.processors.text.document import Document
from helixnet.processors.text.language import UNKNOWN, Language, detect
from helixnet.processors.text.merging import Merged
from helixnet.processors.text.passages import answer, questions
from helixnet.processors.text.phrases import Phrase, key_phrases
from helixnet.processors.text.results import (
    Analysis,
    AnalyzeParams,
    Answer,
    Counts,
    Encoding,
    KeyPhrase,
    LanguageFound,
    ScoredSpan,
    SourceRead,
    Span,
)
from helixnet.processors.text.source import TEXT_ARTIFACT, Source, open_source
from helixnet.processors.text.streaming import chunks
from helixnet.processors.text.summary import summarise

LARGEST_CONTEXT = 1024 * 1024
LONGEST_QUESTION = 2000
"""Characters of a question that the result repeats."""
WEIGHED = ["language", "key_phrases", "summary", "passages"]
"""What is found chunk by chunk, and so not quite what the whole would give."""

NO_WORDS = "The text holds no words, only signs."


async def analyze(context: JobContext, params: AnalyzeParams) -> Analysis | None:
    """Analyse the content under `content_key` for the reader whose questions are under `context_key`, if given.

    Content is a text of any size in any encoding, Markdown, HTML, a PDF or a Word document. Over 32 MiB of text are
    analysed in chunks. Raises Reject if either file can't be read, or there are over 1 MiB of questions, and
    OverLimit for a document that is made to be endless.
    """
    await context.progress(0.02, "Reading the text")
    given = context.inputs.get("content_key")
    if given is None:
        raise Reject("There is no content to read: the job has no content_key.")
    source = await open_source(context, given)
    asked_text = await _context_text(context)
    if source.text is not None:
        return await _as_a_whole(context, params, given, source, source.text, asked_text)
    return await _in_chunks(context, params, given, source, asked_text)


async def _as_a_whole(
    context: JobContext, params: AnalyzeParams, given: Input, source: Source, text: str, asked_text: str
) -> Analysis | None:
    if not await _goes_on(context, 0.15, "Counting words and telling the language"):
        return None
    document = await asyncio.to_thread(Document, text)
    if not document.words:
        raise Reject(NO_WORDS)
    counts = _counts(tally(document), len(document.words.vocabulary))
    await _tell_counts(context, counts, document.language, source, given)

    if not await _goes_on(context, 0.4, "Finding key phrases"):
        return None
    phrases = await asyncio.to_thread(key_phrases, document, params.key_phrases)

    if not await _goes_on(context, 0.65, "Summing up"):
        return None
    summary = await asyncio.to_thread(summarise, document, params.summary_sentences)

    if not await _goes_on(context, 0.85, "Looking for answers"):
        return None
    asked = await asyncio.to_thread(questions, asked_text, params.questions) if asked_text else []
    await _tell_questions(context, asked, asked_text, document.language)
    found = await asyncio.to_thread(answer, document, asked, params.passages)

    await context.progress(1.0, "Done")
    return _analysis(
        given,
        source,
        SourceRead(format=source.format, pages=source.pages, text=source.artifact),
        counts,
        document.language,
        phrases,
        [Span(text=text[each.start : each.end], start=each.start, end=each.end) for each in summary],
        asked,
        [
            [
                ScoredSpan(text=text[each.start : each.end], start=each.start, end=each.end, score=each.score)
                for each in passages
            ]
            for passages in found
        ],
    )


async def _in_chunks(
    context: JobContext, params: AnalyzeParams, given: Input, source: Source, asked_text: str
) -> Analysis | None:
    asked = await asyncio.to_thread(questions, asked_text, params.questions) if asked_text else []
    merged = Merged(params, asked)
    assert source.pieces is not None  # noqa: S101 - a source has the one or the other
    async for chunk in chunks(source.pieces):
        await asyncio.to_thread(merged.add, chunk)
        # A character takes a byte or more: this never runs ahead of the truth.
        done = min(1.0, (source.stream.bytes_read if source.stream else merged.tally.characters) / given.size)
        words = f"Read {merged.tally.words:,} words in {merged.chunks:,} chunks"
        if not await _goes_on(context, 0.15 + 0.8 * done, words):
            return None
    if not merged.tally.words:
        raise Reject(NO_WORDS)
    if source.stream is not None:
        source.encoding, source.bom, source.flaws = source.stream.encoding, source.stream.bom, source.stream.flaws
    language = merged.language()
    counts = _counts(merged.tally, len(merged.spellings))
    await _tell_counts(context, counts, language, source, given)
    await _tell_questions(context, asked, asked_text, language)
    summary = await asyncio.to_thread(merged.summary)
    await context.progress(1.0, "Done")
    return _analysis(
        given,
        source,
        SourceRead(
            format=source.format,
            pages=source.pages,
            text=source.artifact,
            chunks=merged.chunks,
            approximate=WEIGHED + (["unique_words"] if merged.more_spellings else []),
        ),
        counts,
        language,
        merged.phrases(),
        [Span(text=each.text, start=each.start, end=each.end) for each in summary],
        asked,
        [
            [ScoredSpan(text=each.text, start=each.start, end=each.end, score=score) for each, score in found]
            for found in merged.passages()
        ],
    )


def _analysis(
    given: Input,
    source: Source,
    read: SourceRead,
    counts: Counts,
    language: Language,
    phrases: list[Phrase],
    summary: list[Span],
    asked: list[str],
    found: list[list[ScoredSpan]],
) -> Analysis:
    return Analysis(
        source=read,
        encoding=Encoding(name=source.encoding, bom=source.bom, size=given.size, flaws=source.flaws),
        counts=counts,
        language=LanguageFound(code=language.code, name=language.name, confidence=language.confidence),
        key_phrases=[KeyPhrase(text=each.text, score=each.score, count=each.count) for each in phrases],
        summary=summary,
        passages=[
            Answer(question=question[:LONGEST_QUESTION], found=passages)
            for question, passages in zip(asked, found, strict=True)
        ],
    )


async def _goes_on(context: JobContext, fraction: float, message: str) -> bool:
    """Tell what comes next; false if the attempt was told to stop."""
    await context.progress(fraction, message)
    return not context.cancelled


async def _context_text(context: JobContext) -> str:
    """The reader's questions; an empty file asks nothing, which is no fault of the text."""
    given = context.inputs.get("context_key")
    if given is None:
        return ""
    if given.size > LARGEST_CONTEXT:
        raise Reject(f"The context is too large: {given.size:,} bytes, of 1 MiB that is allowed.")
    raw = await given.read(LARGEST_CONTEXT)
    if not raw.strip():
        return ""
    return (await asyncio.to_thread(decode, raw, "context")).text


async def _tell_counts(context: JobContext, counts: Counts, language: Language, source: Source, given: Input) -> None:
    await context.log(
        f"Read {counts.words:,} words in {counts.sentences:,} sentences; the language is {language.name}.",
        encoding=source.encoding,
        bytes=given.size,
        format=source.format,
        language=language.code,
        confidence=language.confidence,
    )


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


def _counts(counted: Tally, unique: int) -> Counts:
    return Counts(
        characters=counted.characters,
        words=counted.words,
        sentences=counted.sentences,
        paragraphs=counted.paragraphs,
        unique_words=unique,
        reading_minutes=round(counted.minutes, 1),
    )


ANALYZE = Processor(
    name="text.analyze",
    version="2",
    description="Reads a text or document of any size: counts, language, key phrases, a summary, answers to questions.",
    run=analyze,
    params=AnalyzeParams,
    inputs={
        "content_key": InputRole("The text to analyse: plain text in any encoding, Markdown, HTML, PDF or DOCX."),
        "context_key": InputRole("What the reader wants to know: a question a line, say.", required=False),
    },
    outputs={TEXT_ARTIFACT: Output("The text of a document, on which offsets count.", "text/plain; charset=utf-8")},
    queue="default",
    time_limit=timedelta(hours=2),
    # The same file would need as much the next time.
    retry=RetryPolicy(again_after_limit=False),
    isolation="process",
    limits=ProcessLimits(memory_bytes=2 * 1024**3, cpu_seconds=7200, file_bytes=1024**3, open_files=64),
    preload=("Stemmer", "charset_normalizer", "stopwordsiso"),
)
