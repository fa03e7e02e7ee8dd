"""llm.run: what it asks and answers, and what it makes of all that a server and a network do."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from email.utils import formatdate

import pytest

from helixnet.processors import OverLimit, Reject, Retry, UpstreamFailed
from helixnet.processors.llm import asking
from tests.processors.llm_local import answer, choose, context
from tests.processors.llm_stand_in import KEY, Fails, Says, Silence, StandIn, last, stand_in, words

pytestmark = pytest.mark.anyio

PRICES = json.dumps({"small": {"input": "1000000", "output": "2000000"}})  # a token costs one, written ones two


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(asking, "FIRST_WAIT_SECONDS", 0.01)
    with stand_in() as server:
        choose(monkeypatch, server)
        yield server


async def test_an_instruction_is_carried_out_on_the_content(server: StandIn) -> None:
    given = context("Say it again.", "The moon is far.")

    result = await answer(given, temperature=0.5, seed=7, max_output_tokens=50)

    assert result.answer == "You said: The moon is far."
    assert (result.model, result.parts, result.calls, result.truncated) == ("small", 1, 1, False)
    (asked,) = server.requests
    assert asked["messages"] == [
        {"role": "system", "content": "Say it again."},
        {"role": "user", "content": "The moon is far."},
    ]
    assert (asked["temperature"], asked["seed"], asked["max_tokens"], asked["stream"]) == (0.5, 7, 50, True)
    assert given.written == {"answer.txt": b"You said: The moon is far."}


async def test_the_answer_is_shown_word_by_word_as_it_comes(server: StandIn) -> None:
    gate = threading.Event()
    server.act = lambda _request: Says("one two three", gate=gate, gate_at=2)
    given = context()
    work = asyncio.create_task(answer(given))
    await given.has_shown("one two ")

    gate.set()
    await work

    assert given.shown == ["one ", "two ", "three"]


async def test_tokens_are_counted_by_the_server_and_cost_what_the_operator_says(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server, prices=PRICES)
    server.script(Says("four words of answer"))
    given = context("Two words", "and three more")

    result = await answer(given)

    assert (result.usage.tokens_in, result.usage.tokens_out, result.usage.cost) == (5, 4, "13")
    assert not result.usage.estimated
    (spent,) = given.meter.spent
    assert (spent.model, spent.tokens_in, spent.tokens_out, spent.cost) == ("small", 5, 4, Decimal(13))
    (most,) = given.meter.asked
    assert most.cost >= spent.cost
    assert most.tokens_out == 1024


async def test_a_server_that_counts_nothing_is_counted_for(server: StandIn) -> None:
    server.script(Says("some words of answer", silent_usage=True))

    result = await answer(context())

    assert result.usage.estimated
    assert result.usage.tokens_in >= 6
    assert result.usage.tokens_out >= 4


async def test_without_content_the_instruction_alone_is_asked(server: StandIn) -> None:
    result = await answer(context("Write a line.", None))

    assert result.answer == "You said: Write a line."


async def test_a_template_says_where_instruction_and_content_belong(server: StandIn) -> None:
    given = context("Count.", "a {{ instruction }} b", template="<text>{{content}}</text> {{ instruction }}")

    await answer(given)

    assert last(server.requests[0]) == "<text>a {{ instruction }} b</text> Count."


@pytest.mark.parametrize("template", ["{{ content.__class__ }}", "no place", "{{ content }} {{ config }}"])
async def test_a_template_with_other_places_is_refused(server: StandIn, template: str) -> None:
    with pytest.raises(Reject, match="template"):
        await answer(context(template=template))


async def test_a_busy_server_is_asked_again_after_the_wait_that_it_asks_for(server: StandIn) -> None:
    server.script(Fails(429, headers={"Retry-After": "0.3"}), Fails(503, headers={"Retry-After": "0"}), Says("done"))
    given = context()
    begun = time.monotonic()

    result = await answer(given)

    assert result.answer == "done"
    assert time.monotonic() - begun >= 0.3
    assert len(server.requests) == 3
    assert len(given.meter.spent) == 1, "what was refused cost nothing"


async def given_back(server: StandIn, value: str) -> timedelta:
    """The wait a run asks for when the provider answers 429 with this `Retry-After`."""
    server.script(Fails(429, headers={"Retry-After": value}))
    with pytest.raises(Retry) as caught:
        await answer(context())
    assert len(server.requests) == 1
    assert caught.value.after is not None
    return caught.value.after


@pytest.mark.parametrize(("value", "seconds"), [("3600", 3600), ("1e9", 86_400)])
async def test_a_wait_that_is_long_gives_the_worker_back(server: StandIn, value: str, seconds: int) -> None:
    assert await given_back(server, value) == timedelta(seconds=seconds)


async def test_a_wait_until_a_late_date_gives_the_worker_back(server: StandIn) -> None:
    after = await given_back(server, formatdate(time.time() + 7200, usegmt=True))

    assert timedelta(seconds=6000) <= after <= timedelta(seconds=7200)


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "inf"])
async def test_a_wait_that_makes_no_sense_is_ours_to_choose(server: StandIn, value: str) -> None:
    server.script(Fails(503, headers={"Retry-After": value}), Says("done"))

    assert (await answer(context())).answer == "done"


async def test_a_server_that_stays_busy_ends_the_attempt_and_not_the_job(server: StandIn) -> None:
    server.script(Fails(500))

    with pytest.raises(Retry, match=r"failed \(500\)") as caught:
        await answer(context())

    assert caught.value.after is None
    assert len(server.requests) == asking.TRIES


async def test_a_cut_answer_is_asked_for_again_and_both_are_paid_for(server: StandIn) -> None:
    server.script(Says("one two three", cut=2), Says("one two three"))
    given = context()

    result = await answer(given)

    assert result.answer == "one two three"
    cut, whole = given.meter.spent
    assert cut.estimated
    assert cut.tokens_out >= 2
    assert whole.tokens_out == 3
    assert result.usage.tokens_out == cut.tokens_out + whole.tokens_out
    assert any("cut" in line for line in given.lines)


@pytest.mark.parametrize(
    "act", [Says("half an", finish=None), Says("well", garbage=True), Says("well", error_at_end="out of memory")]
)
async def test_an_answer_that_breaks_off_or_makes_no_sense_is_asked_for_again(server: StandIn, act: Says) -> None:
    server.script(act, Says("whole"))

    assert (await answer(context())).answer == "whole"


async def test_a_server_that_always_talks_nonsense_is_told_as_such(server: StandIn) -> None:
    server.script(Says("well", garbage=True))

    with pytest.raises(Retry, match="can't be read"):
        await answer(context())


async def test_a_server_that_says_nothing_is_given_up(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, server, timeout_seconds="0.2")
    until = threading.Event()
    server.script(Silence(until))

    with pytest.raises(Retry, match=r"said nothing for 0\.2 s"):
        await answer(context())

    until.set()


async def test_a_server_that_is_not_there_is_waited_for(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_LLM_BASE_URL", "http://127.0.0.1:9/v1")
    given = context()

    with pytest.raises(Retry, match="can't be reached"):
        await answer(given)

    assert given.meter.spent == []


async def test_a_wrong_key_is_the_operators_to_mend_and_is_not_told(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server, api_key="sk-wrong-987654321")

    with pytest.raises(UpstreamFailed, match="refuses the operator's key") as caught:
        await answer(context())

    assert "sk-wrong" not in f"{caught.value} {caught.value.details}"
    assert len(server.requests) == 1


async def test_an_account_without_money_is_not_asked_again(server: StandIn) -> None:
    server.script(Fails(429, code="insufficient_quota"))

    with pytest.raises(UpstreamFailed, match="is empty"):
        await answer(context())


@pytest.mark.parametrize("act", [Says("I can't help with that.", refusal=True), Says("", finish="content_filter")])
async def test_a_refusal_is_no_answer(server: StandIn, act: Says) -> None:
    server.script(act)
    given = context()

    with pytest.raises(UpstreamFailed, match="refuses to answer") as caught:
        await answer(given)

    assert caught.value.details["refusal"] == act.text
    assert given.answers.kept == {}
    assert len(given.meter.spent) == 1, "it is paid for all the same"


async def test_a_server_that_is_told_to_stop_stops_at_once(server: StandIn) -> None:
    gate = threading.Event()
    server.script(Says("one two three four", gate=gate, gate_at=2))
    given = context()
    work = asyncio.create_task(answer(given))
    await given.has_shown("one two ")

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert await asyncio.to_thread(server.hung_up.wait, 10), "the server is hung up on"
    gate.set()
    (spent,) = given.meter.spent
    assert spent.estimated
    assert spent.tokens_out >= 2


async def test_a_server_that_knows_another_word_for_the_longest_answer_is_asked_by_it(server: StandIn) -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    server.act = lambda request: Fails(400, message) if "max_tokens" in request else Says("fine")

    assert (await answer(context(), max_output_tokens=77)).answer == "fine"

    assert server.requests[-1]["max_completion_tokens"] == 77


async def test_a_request_that_the_server_does_not_take_is_told_in_its_words(server: StandIn) -> None:
    server.script(Fails(400, "temperature does not fit this model"))

    with pytest.raises(UpstreamFailed, match="temperature does not fit this model"):
        await answer(context(), temperature=2)


async def test_an_answer_that_is_cut_at_its_longest_says_so_and_is_not_remembered(server: StandIn) -> None:
    server.script(Says("a b c", finish="length"))
    given = context()

    assert (await answer(given)).truncated
    assert given.answers.kept == {}


async def test_a_server_that_does_not_keep_to_the_longest_answer_is_cut_off(server: StandIn) -> None:
    server.script(Says("word " * 1000))

    result = await answer(context(), max_output_tokens=16)

    assert result.truncated
    assert result.answer is not None
    assert len(result.answer) < 16 * 50


async def test_the_same_question_is_answered_from_memory_and_costs_nothing(server: StandIn) -> None:
    first = context()
    await answer(first)
    again = context()
    again.answers = first.answers

    result = await answer(again)

    assert (result.answer, result.calls, result.cached) == ("You said: The moon is far.", 0, 1)
    assert (result.usage.tokens_in, again.meter.asked) == (0, [])
    assert "".join(again.shown) == result.answer
    assert len(server.requests) == 1


@pytest.mark.parametrize("params", [{"cache": False}, {"seed": 1}, {"max_output_tokens": 99}, {"temperature": 0.1}])
async def test_another_question_or_a_job_that_wants_no_memory_is_asked_anew(
    server: StandIn, params: dict[str, object]
) -> None:
    first = context()
    await answer(first)
    again = context()
    again.answers = first.answers

    assert (await answer(again, **params)).cached == 0
    assert len(server.requests) == 2


async def test_a_call_that_may_cost_more_than_is_left_is_not_made(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server, prices=PRICES)
    given = context()
    given.meter.budget = Decimal(100)

    with pytest.raises(OverLimit, match="budget"):
        await answer(given, max_output_tokens=100)

    assert server.requests == []


@pytest.mark.parametrize(
    ("settings", "params", "error", "words_of_it"),
    [
        ({"base_url": ""}, {}, UpstreamFailed, "HELIX_LLM_BASE_URL"),
        ({"model": ""}, {}, UpstreamFailed, "HELIX_LLM_MODEL"),
        ({"prices": "{"}, {}, UpstreamFailed, "settings HELIX_LLM_… are not right"),
        ({"base_url": "http://me:secret@127.0.0.1/v1"}, {}, UpstreamFailed, "settings HELIX_LLM_… are not right"),
        ({}, {"model": "large"}, Reject, "There are: small, medium"),
        ({"max_output_tokens": 100}, {"max_output_tokens": 101}, OverLimit, "at most 100"),
        ({"context_tokens": 300}, {"max_output_tokens": 290}, OverLimit, "no room for content"),
    ],
)
async def test_what_is_not_set_up_or_not_allowed_is_said_before_anything_is_asked(
    server: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    params: dict[str, object],
    error: type[Reject],
    words_of_it: str,
) -> None:
    choose(monkeypatch, server, **({"models": "medium"} | settings))

    with pytest.raises(error, match=words_of_it) as caught:
        await answer(context(), **params)

    assert server.requests == []
    assert "secret" not in f"{caught.value} {caught.value.details}"


async def test_a_model_that_the_operator_allows_may_be_named(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, server, models="medium, large")

    assert (await answer(context(), model="large")).model == "large"
    assert server.requests[0]["model"] == "large"


async def test_content_that_is_no_text_is_turned_away(server: StandIn) -> None:
    with pytest.raises(Reject, match="PDF"):
        await answer(context(content="%PDF-1.7\n%\x00\x01"))


async def test_many_at_once_are_no_more_than_the_operator_allows(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, server, concurrency=3, context_tokens=700)
    server.script(Says("noted"))
    given = context(content="\n\n".join(f"Paragraph {number} says little." for number in range(200)))

    result = await answer(given, max_output_tokens=64)

    assert result.parts >= 6
    assert given.meter.most_open == 3
    assert words(server.requests[0]) > 0


def test_the_key_is_in_no_print_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from helixnet.processors.llm.settings import LlmSettings

    monkeypatch.setenv("HELIX_LLM_API_KEY", KEY)
    monkeypatch.setenv("HELIX_LLM_BASE_URL", "http://127.0.0.1:1/v1")

    assert KEY not in repr(LlmSettings()) + LlmSettings().model_dump_json()


def test_importing_the_processor_loads_none_of_its_libraries() -> None:
    code = "import sys, helixnet.processors.llm; print({'openai', 'jsonschema_rs', 'httpx2'} & {*sys.modules})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "set()"
