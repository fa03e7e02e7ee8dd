"""embed.search: where a text answers a question in other words, isolated and through HTTP."""

import dataclasses
import io
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from helixnet.processors import OverLimit, Reject, UpstreamFailed
from helixnet.processors.embed import PROCESSORS, SEARCH
from helixnet.processors.embed.chunking import Chunk, chunks
from helixnet.processors.embed.ranking import Ranking
from helixnet.processors.embed.results import Findings, SearchParams
from helixnet.processors.registry import Registry, check_inputs
from tests.conftest import Stack
from tests.processors.local import analyze
from tests.processors.sandbox import HandedInput, Sandbox, SandboxContext, handed

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed-search"
CONTENT, CONTEXT = (EXAMPLE / "content.txt").read_bytes(), (EXAMPLE / "context.txt").read_bytes()
ANSWERS = {
    "How do we stay warm through the cold season?": "hold their warmth for two days",
    "What should be done about a blaze in the flue?": "close the damper",
    "How can rain be made safe for drinking?": "bleach in a full tank",
    "When is it too dangerous to sail to the shore?": "white water there joins into a single line",
    "How can a newborn that is freezing be saved?": "Rub a cold lamb with straw",
    "How much provisions should be stored in case deliveries are late?": "keep six weeks of",
    "What are the signs of appendicitis, and whom should one alert?": "A pain low on the right side",
    "Why is a diary more reliable than recollection?": "the book was right",
}


def context(content: bytes = CONTENT, asked: bytes = CONTEXT) -> SandboxContext:
    return SandboxContext({"content_key": handed(content, "a.txt"), "context_key": handed(asked, "b.txt")})


@pytest.fixture(scope="module")
def findings(sandbox: Sandbox) -> Findings:
    return Findings.model_validate(sandbox.run(SEARCH, context()))


def test_answers_are_found_whose_words_are_not_those_of_the_question(findings: Findings) -> None:
    found = {answer.question: [" ".join(each.text.split()) for each in answer.found] for answer in findings.answers}
    assert list(found) == CONTEXT.decode().splitlines()
    missed = [question for question, words in ANSWERS.items() if not any(words in text for text in found[question])]
    assert missed == []


def test_words_alone_find_fewer_of_them() -> None:
    passages = {answer.question: answer.found for answer in analyze(CONTENT, CONTEXT).passages}
    found = [
        question
        for question, words in ANSWERS.items()
        if any(words in " ".join(span.text.split()) for span in passages[question])
    ]
    assert len(found) < len(ANSWERS)


def test_offsets_hold_on_the_decoded_text_and_passages_do_not_overlap(findings: Findings) -> None:
    text = CONTENT.decode(findings.encoding.name)
    for answer in findings.answers:
        assert 0 < len(answer.found) <= 3
        assert all(text[each.start : each.end] == each.text for each in answer.found)
        assert all(len(each.text) <= SearchParams().chunk_characters for each in answer.found)
        scores = [each.score for each in answer.found]
        assert scores == sorted(scores, reverse=True)
        places = sorted((each.start, each.end) for each in answer.found)
        assert all(one[1] <= other[0] for one, other in pairwise(places))


def test_scores_are_the_cosines_of_the_vectors_that_are_written(sandbox: Sandbox) -> None:
    ran = context(asked=b"How do we stay warm?")
    result = Findings.model_validate(sandbox.run(SEARCH, ran, embeddings=True, top_k=50, threshold=-1))

    vectors = np.load(io.BytesIO(ran.written["embeddings.npy"].content))
    rows = [json.loads(line) for line in ran.written["chunks.ndjson"].content.splitlines()]
    again = context(b"How do we stay warm?", b"How do we stay warm?")
    sandbox.run(SEARCH, again, embeddings=True)
    question = np.load(io.BytesIO(again.written["embeddings.npy"].content))[0]

    assert vectors.shape == (result.chunks, result.model.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    cosines = {(row["start"], row["end"]): float(vectors[row["row"]] @ question) for row in rows}
    for each in result.answers[0].found:
        assert each.score == pytest.approx(cosines[each.start, each.end], abs=1e-5)


def test_a_threshold_leaves_out_what_is_less_alike(sandbox: Sandbox) -> None:
    ran = context(asked=b"How do we stay warm in winter?\nHow is a fugue by Bach composed?")
    warm, fugue = Findings.model_validate(sandbox.run(SEARCH, ran, threshold=0.3)).answers
    assert warm.found
    assert all(each.score >= 0.3 for each in warm.found)
    assert fugue.found == []


def test_a_large_text_is_searched_with_every_offset_right(sandbox: Sandbox) -> None:
    filler = "The ledger was kept in order, and nobody asked for more than that on any day. " * 12 + "\n\n"
    needle = "A cold lamb is rubbed with straw, and put into the oven.\n\n"
    content = (filler * 1500 + needle + filler * 1500).encode()
    ran = context(content, b"How is a freezing newborn sheep saved?")
    result = Findings.model_validate(sandbox.run(SEARCH, ran, top_k=1, chunk_characters=400))
    (best,) = result.answers[0].found
    assert "A cold lamb" in best.text
    assert content.decode()[best.start : best.end] == best.text
    assert ran.steps == sorted(ran.steps)
    assert ran.steps[-1] == 1


def test_a_text_in_another_language_is_searched_and_the_log_says_what_to_expect(sandbox: Sandbox) -> None:
    ran = context("Der Leuchtturm steht am Meer. Die Boote kommen am Abend zurück in den Hafen.".encode("cp1252"))
    result = Findings.model_validate(sandbox.run(SEARCH, ran))
    assert result.language.code == "de"
    assert any("trained on English" in line for line in ran.lines)


@pytest.mark.parametrize(
    ("content", "asked", "error", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(99), b"What?", Reject, "a PNG image, not a text"),
        (b"", b"What?", Reject, "The content is empty"),
        (b"!!! ??? ...", b"What is it?", Reject, "holds no words"),
        (CONTENT, b"", Reject, "The context is empty"),
        (CONTENT, b"- \n--\n", Reject, "asks nothing"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence(
    sandbox: Sandbox, content: bytes, asked: bytes, error: type[Reject], words: str
) -> None:
    with pytest.raises(error, match=words):
        sandbox.run(SEARCH, context(content, asked))
    assert sandbox.run(SEARCH, context())["chunks"] > 5


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "a. " * 400_000,
        ("word " * 99 + "\x00") * 2000,
        "\U0001f980 crab " * 100_000,
        "?\n" * 900_000 + "a",
    ],
    ids=["no space", "one-letter sentences", "nulls", "signs beyond the plane", "questions without words"],
)
def test_no_text_takes_the_search_down(sandbox: Sandbox, text: str) -> None:
    limited = dataclasses.replace(SEARCH, limits=dataclasses.replace(SEARCH.limits, cpu_seconds=120))
    result = Findings.model_validate(sandbox.run(limited, context(text.encode(), b"What is a crab?")))
    found = result.answers[0].found
    assert found
    assert all(text[each.start : each.end] == each.text and "\x00" not in each.text for each in found)


def test_a_text_that_is_too_large_is_refused_unread(sandbox: Sandbox) -> None:
    large = HandedInput(lambda: (bytes(1024 * 1024) for _ in range(65)), "a.txt")
    ran = SandboxContext({"content_key": large, "context_key": handed(b"What?", "b.txt")})
    with pytest.raises(OverLimit, match="at most 64 MiB"):
        sandbox.run(SEARCH, ran)


def test_without_the_extra_it_says_which_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from helixnet.processors.embed.model import Model

    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(UpstreamFailed, match=r"pip install 'helixnet\[embed\]'"):
        Model()


def test_the_weights_are_in_the_package_and_no_socket_is_opened() -> None:
    code = (
        "import sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'): sys.exit(event)\n"
        "sys.addaudithook(hook)\n"
        "from helixnet.processors.embed.model import Model\n"
        "print(Model().embed(['a lamp', 'a lantern', 'a tax']).shape)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "(3, 256)"


def test_importing_the_processor_loads_none_of_its_libraries() -> None:
    code = "import sys, helixnet.processors.embed; print({'numpy', 'wordllama', 'tokenizers'} & {*sys.modules})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_passages_are_whole_sentences_that_overlap_by_one() -> None:
    text = " ".join(f"This is the sentence with the number {number}." for number in range(40))
    found = list(chunks(text, 200, 1))
    assert all(text[each.start : each.end].endswith(".") for each in found)
    assert all(each.end - each.start <= 200 for each in found)
    assert all(after.start < before.end for before, after in pairwise(found))
    assert (found[0].start, found[-1].end) == (0, len(text))
    assert all(before.end < after.start for before, after in pairwise(chunks(text, 200, 0)))


def test_no_passage_is_longer_than_asked_for_or_goes_over_a_nul() -> None:
    text = "word " * 500 + "\x00" + "x" * 3000 + "\n\n" + "End of it."
    found = list(chunks(text, 300, 2))
    assert all(0 < each.end - each.start <= 300 for each in found)
    assert all("\x00" not in text[each.start : each.end] for each in found)
    assert text[found[-1].start : found[-1].end].endswith("End of it.")


def test_of_passages_that_overlap_only_the_best_is_kept() -> None:
    ranking = Ranking(np.eye(1, 2, dtype=np.float32), 2, -1.0, 1)
    ranking.add([Chunk(0, 10), Chunk(8, 20), Chunk(18, 30)], np.array([[0.5, 0], [0.9, 0], [0.7, 0]], dtype=np.float32))
    ranking.add([Chunk(40, 50)], np.array([[0.1, 0]], dtype=np.float32))
    assert [chunk for chunk, _score in ranking.best(0)] == [Chunk(8, 20), Chunk(40, 50)]


@pytest.mark.parametrize("params", [{"top_k": 0}, {"threshold": 2}, {"chunk_characters": 20}, {"depth": 1}])
def test_parameters_out_of_bounds_or_unknown_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SearchParams.model_validate(params)


def test_the_processor_needs_both_files() -> None:
    processor = Registry(PROCESSORS).get("embed.search")
    assert processor.isolation == "process"
    check_inputs(processor, ["content_key", "context_key"])


def test_the_example_is_searched_through_http(stack: Stack) -> None:
    helix = stack.client()
    accepted = helix.upload(
        content=EXAMPLE / "content.txt",
        context=EXAMPLE / "context.txt",
        processor="embed.search",
        params='{"top_k": 2}',
    )
    job = helix.wait(accepted.job_id, 60)
    assert job.status == "COMPLETED", job.error
    answers = job.result_content["answers"]
    assert len(answers) == 11
    assert "the damper" in answers[1]["found"][0]["text"]
