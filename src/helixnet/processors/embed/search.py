"""The steps of `embed.search`: read, cut into passages, compare each with every question, keep the best."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

from helixnet.processors.base import InputRole, Output, OverLimit, ProcessLimits, Processor, Reject, RetryPolicy
from helixnet.processors.context import BlockingContext
from helixnet.processors.embed.chunking import Chunk, chunks
from helixnet.processors.embed.model import NAME, Model
from helixnet.processors.embed.ranking import Ranking
from helixnet.processors.embed.results import Answer, Findings, Found, SearchParams
from helixnet.processors.embed.results import Model as ModelFound
from helixnet.processors.embed.vectors import VectorFiles
from helixnet.processors.text.decoding import Decoded, decode
from helixnet.processors.text.language import Language, detect
from helixnet.processors.text.passages import questions
from helixnet.processors.text.results import Encoding, LanguageFound

LARGEST_CONTENT = 64 * 1024 * 1024
LARGEST_CONTEXT = 1024 * 1024
LONGEST_QUESTION = 2000
"""Characters of a question that are looked at and repeated."""
LANGUAGE_CHARACTERS = 200_000
BATCH = 256
ENGLISH = "en"


def search(context: BlockingContext, params: SearchParams) -> Findings:
    """Find where the text under `content_key` answers the questions under `context_key`.

    Raises Reject if either file is no text or says nothing, OverLimit if it is too large (64 MiB, and 1 MiB of
    questions), and UpstreamFailed where the extra `embed` is not installed.
    """
    model = Model()
    context.progress(0.02, "Reading the text")
    content, size = _text(context, "content_key", LARGEST_CONTENT, "content")
    asked = _questions(context, params.questions)
    language = detect(content.text[:LANGUAGE_CHARACTERS])
    _tell_language(context, language)

    ranking = Ranking(model.embed(asked), params.top_k, params.threshold, params.overlap_sentences)
    files = VectorFiles(context.scratch, model.dimensions) if params.embeddings else None
    count, told = 0, 0.0
    for batch in _batches(chunks(content.text, params.chunk_characters, params.overlap_sentences)):
        vectors = model.embed([content.text[each.start : each.end] for each in batch])
        ranking.add(batch, vectors)
        if files is not None:
            files.add(batch, vectors)
        count += len(batch)
        fraction = batch[-1].end / len(content.text)
        if fraction >= told + 0.02:
            told = fraction
            context.progress(0.05 + 0.9 * fraction, f"Compared {count:,} passages")
    if not count:
        raise Reject("The content holds no words, only signs.")
    if files is not None:
        files.write(context)
    context.progress(1.0, "Done")
    context.log(f"Compared {count:,} passages with {len(asked)} question(s).", chunks=count, questions=len(asked))
    return Findings(
        encoding=Encoding(name=content.encoding, bom=content.bom, size=size, flaws=content.flaws),
        language=LanguageFound(code=language.code, name=language.name, confidence=language.confidence),
        model=ModelFound(name=NAME, version=model.version, dimensions=model.dimensions),
        chunks=count,
        answers=[
            Answer(
                question=question,
                found=[
                    Found(
                        text=content.text[chunk.start : chunk.end],
                        start=chunk.start,
                        end=chunk.end,
                        score=round(min(max(score, -1.0), 1.0), 6),
                    )
                    for chunk, score in ranking.best(number)
                ],
            )
            for number, question in enumerate(asked)
        ],
    )


def _text(context: BlockingContext, role: str, limit: int, what: str) -> tuple[Decoded, int]:
    """The decoded file of this role, and its size in bytes."""
    source = context.inputs[role]
    if source.size > limit:
        raise OverLimit(f"The {what} has {source.size:,} bytes; at most {limit // 1024**2} MiB can be searched.")
    content = source.read(limit)
    return decode(content, what), len(content)


def _questions(context: BlockingContext, most: int) -> list[str]:
    asked = questions(_text(context, "context_key", LARGEST_CONTEXT, "context")[0].text, most)
    asked = [question[:LONGEST_QUESTION] for question in asked if question.strip()]
    if not asked:
        raise Reject("The context asks nothing: write a question a line.")
    return asked


def _tell_language(context: BlockingContext, language: Language) -> None:
    if language.code not in (ENGLISH, "und"):
        context.log(
            f"The text is in {language.name}, and the vectors were trained on English: in other languages they find "
            "little more than shared words."
        )


def _batches(found: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    passages = iter(found)
    while batch := list(islice(passages, BATCH)):
        yield batch


SEARCH = Processor(
    name="embed.search",
    version="1",
    description="Finds where a text answers questions, by meaning: English, offline, with scores and places.",
    run=search,
    params=SearchParams,
    inputs={
        "content_key": InputRole("The text to search, in any encoding."),
        "context_key": InputRole("What is looked for: a question a line."),
    },
    outputs={
        "embeddings.npy": Output("The vectors of all passages, a row each (float32, of unit length)."),
        "chunks.ndjson": Output(
            "The passages in the order of the vectors, a JSON object a line.", "application/x-ndjson"
        ),
    },
    time_limit=timedelta(minutes=30),
    # The same text would need as much the next time.
    retry=RetryPolicy(again_after_limit=False),
    isolation="process",
    limits=ProcessLimits(memory_bytes=2 * 1024**3, cpu_seconds=1500, file_bytes=1024**3, open_files=64),
)
