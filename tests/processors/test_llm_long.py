"""llm.run on long content: it is parted where it may be, read part by part, and brought together."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from helixnet.processors import OverLimit
from helixnet.processors.llm.tokens import estimate, split
from tests.processors.llm_local import answer, choose, context
from tests.processors.llm_stand_in import Act, Fails, Request, Says, StandIn, last, stand_in, words

LONG = "\n\n".join(f"Paragraph {number}. It has a secret: S{number:03}. That is all of it." for number in range(60))


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        server.act = take_notes
        yield server


def secrets(text: str) -> str:
    return " ".join(word.strip(".") for word in text.split() if word[:1] == "S" and word[1:4].isdigit())


def take_notes(request: Request) -> Act:
    """A model that finds the secrets in what it is given."""
    return Says(secrets(last(request)) or "nothing")


@pytest.mark.anyio
async def test_long_content_is_read_in_parts_and_nothing_of_it_is_lost(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server, context_tokens=1200)
    given = context("Find the secrets.", LONG)

    result = await answer(given, max_output_tokens=256)

    assert result.answer == " ".join(f"S{number:03}" for number in range(60))
    assert result.parts > 1
    assert result.calls == result.parts + 1
    assert given.shown
    assert "".join(given.shown) == result.answer, "only the answer is shown, not the notes"
    assert given.steps == sorted(given.steps)
    assert given.steps[-1] == 1


@pytest.mark.anyio
async def test_notes_that_are_too_long_are_noted_on_again(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, server, context_tokens=700)
    server.act = lambda request: Says(" ".join(last(request).split()[:60]))

    result = await answer(context("Find the secrets.", LONG * 4), max_output_tokens=64)

    assert result.calls > result.parts + 1
    assert result.answer


@pytest.mark.anyio
async def test_the_servers_count_goes_before_ours(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, server, context_tokens=100_000)

    def small(request: Request) -> Act:
        if words(request) > 250:
            return Fails(400, "This model's maximum context length is 250 tokens.", code="context_length_exceeded")
        return take_notes(request)

    server.act = small

    result = await answer(context("Find the secrets.", LONG))

    assert set(str(result.answer).split()) == {f"S{number:03}" for number in range(60)}


@pytest.mark.anyio
async def test_a_server_that_can_read_nothing_is_not_asked_for_ever(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server)
    server.act = lambda _request: Fails(400, "the request exceeds the available context size")

    with pytest.raises(OverLimit, match="even a small part"):
        await answer(context("Find the secrets.", LONG))

    assert len(server.requests) < 60


@pytest.mark.anyio
async def test_long_content_may_be_refused_instead(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, server, context_tokens=700)

    with pytest.raises(OverLimit, match="more than the model reads at once"):
        await answer(context(content=LONG), long_content="refuse", max_output_tokens=64)


@pytest.mark.anyio
async def test_content_that_takes_too_many_calls_is_refused_before_the_first(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server, context_tokens=700, max_calls=3)

    with pytest.raises(OverLimit, match="a job may make 3"):
        await answer(context(content=LONG * 2), max_output_tokens=64)

    assert server.requests == []


@pytest.mark.anyio
async def test_a_second_attempt_asks_only_what_the_first_one_did_not_get(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server, context_tokens=1200, concurrency=1, patience_seconds=0)
    server.act = lambda request: Fails(503) if "S059" in last(request) else take_notes(request)
    first = context("Find the secrets.", LONG)
    with pytest.raises(Exception, match="busy"):
        await answer(first, max_output_tokens=256)
    asked = len(server.requests)
    server.act = take_notes
    again = context("Find the secrets.", LONG)
    again.answers = first.answers

    result = await answer(again, max_output_tokens=256)

    assert result.cached == asked - 1
    assert result.calls == 2


@pytest.mark.anyio
async def test_a_structured_answer_is_given_on_notes_too(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, server, context_tokens=1400)
    schema = {"type": "object", "properties": {"found": {"type": "array"}}, "required": ["found"]}

    def act(request: Request) -> Act:
        found = secrets(last(request)).split()
        return Says(json.dumps({"found": found})) if "response_format" in request else Says(" ".join(found))

    server.act = act

    result = await answer(context("Find the secrets.", LONG, schema=json.dumps(schema)), max_output_tokens=256)

    assert result.data == {"found": [f"S{number:03}" for number in range(60)]}
    assert result.parts > 1


@pytest.mark.parametrize(
    "text",
    [
        "One sentence. Another one! A third? " * 50,
        "word " * 500,
        "x" * 5000,
        "本文は長い。" * 400,
        "." * 20_000 + "\n" * 20_000 + " " * 20_000,
        "a\r\n\r\nb" * 300,
    ],
)
def test_parts_are_the_text_again_and_none_is_too_long(text: str) -> None:
    parts = split(text, 64)

    assert "".join(parts) == text
    assert max(map(estimate, parts)) <= 64


@given_any(st.text(max_size=2000), st.integers(min_value=8, max_value=200))
@settings(deadline=None, max_examples=50)
def test_any_text_is_parted_without_loss(text: str, limit: int) -> None:
    parts = split(text, limit)

    assert "".join(parts) == text
    assert all(estimate(part) <= limit for part in parts)


def test_a_text_is_parted_between_paragraphs_where_they_fit() -> None:
    paragraphs = [f"Paragraph {number} has two sentences. Here is the second.\n\n" for number in range(8)]

    parts = split("".join(paragraphs), 60)

    assert all(part.endswith("second.\n\n") for part in parts)
    assert 2 <= len(parts) < 8
