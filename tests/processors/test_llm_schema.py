"""llm.run with a schema: the answer fits it, or is asked for again, or the job fails."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from helixnet.processors import OverLimit, Reject, UpstreamFailed
from helixnet.processors.llm import structured
from helixnet.processors.llm.structured import the_json, violations
from tests.processors.llm_local import answer, choose, context
from tests.processors.llm_stand_in import Act, Fails, Request, Says, StandIn, last, stand_in
from tests.processors.local import EXAMPLES

pytestmark = pytest.mark.anyio

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
RIGHT = {"city": "Bern", "people": 134_000}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in() as server:
        choose(monkeypatch, server)
        yield server


async def test_an_answer_that_fits_is_data(server: StandIn) -> None:
    server.script(Says(json.dumps(RIGHT)))
    given = context("Which city?", schema=json.dumps(SCHEMA))

    result = await answer(given)

    assert (result.data, result.answer, result.repairs) == (RIGHT, None, 0)
    assert json.loads(given.written["answer.json"]) == RIGHT
    asked = server.requests[0]["response_format"]
    assert (asked["type"], asked["json_schema"]["schema"]) == ("json_schema", SCHEMA)


async def test_an_answer_that_does_not_fit_is_asked_for_again_with_what_is_wrong(server: StandIn) -> None:
    server.script(Says(json.dumps({"city": "Bern", "people": "many"})), Says("Sure!"), Says(json.dumps(RIGHT)))
    given = context(schema=json.dumps(SCHEMA))

    result = await answer(given)

    assert (result.data, result.repairs, result.calls) == (RIGHT, 2, 3)
    told = last(server.requests[1])
    assert '/people: "many" is not of type "integer"' in told
    assert "It is not JSON" in last(server.requests[2])


async def test_an_answer_that_never_fits_fails_the_job_with_its_violations(server: StandIn) -> None:
    server.script(Says("{}"))

    with pytest.raises(UpstreamFailed, match="in 2 tries") as caught:
        await answer(context(schema=json.dumps(SCHEMA)), repairs=1)

    assert len(server.requests) == 2
    told: Any = caught.value.details["violations"]
    assert any("city" in str(violation) for violation in told)


async def test_a_server_that_knows_no_schemas_is_told_in_words(server: StandIn) -> None:
    def act(request: Request) -> Act:
        if "response_format" in request:
            return Fails(400, "response_format json_schema is not supported")
        return Says(f"Here you are:\n```json\n{json.dumps(RIGHT)}\n```\nAnything else?")

    server.act = act

    result = await answer(context(schema=json.dumps(SCHEMA)))

    assert result.data == RIGHT
    assert json.dumps(SCHEMA, separators=(",", ":")) in server.requests[-1]["messages"][0]["content"]


async def test_an_answer_that_is_cut_off_is_no_data(server: StandIn) -> None:
    server.script(Says('{"city": "Be', finish="length"))

    with pytest.raises(OverLimit, match="max_output_tokens"):
        await answer(context(schema=json.dumps(SCHEMA)))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"type": "objekt"}', "not a JSON Schema"),
        ('{"$ref": "http://127.0.0.1:9/schema.json"}', "stands by itself"),
        ('{"$ref": "file:///etc/passwd"}', "stands by itself"),
        ('{"type": "string", "pattern": "("}', "not a JSON Schema"),
    ],
)
async def test_a_schema_that_is_none_is_refused_before_anything_is_asked(
    server: StandIn, schema: str, words: str
) -> None:
    with pytest.raises(Reject, match=words):
        await answer(context(schema=schema))

    assert server.requests == []


async def test_a_schema_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "CHECK_SECONDS", 1)
    doubled: dict[str, Any] = {"d0": {"type": "integer"}}
    for step in range(1, 60):
        doubled[f"d{step}"] = {"allOf": [{"$ref": f"#/$defs/d{step - 1}"}] * 2}

    with pytest.raises(OverLimit, match="more time or memory"):
        await violations({"$defs": doubled, "$ref": "#/$defs/d59"}, "1")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": NaN}', "", "\ud800"])
async def test_an_answer_that_is_hostile_to_readers_is_not_json(text: str) -> None:
    (found,) = await violations({}, text.encode(errors="replace").decode())

    assert found.startswith("It is not JSON")


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("```json\n[1, 2]\n```", "[1, 2]"),
        ('The answer is {"a": {"b": 1}}. Good luck!', '{"a": {"b": 1}}'),
        ("42", "42"),
        ("no {document", "no {document"),
    ],
)
def test_the_document_is_found_among_the_words(text: str, document: str) -> None:
    assert the_json(text) == document


async def test_the_example_files_belong_together(server: StandIn) -> None:
    """The minutes in examples/llm, with their instruction, schema and template."""
    folder = EXAMPLES / "llm"
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    found = {"decisions": ["The quay is closed."], "tasks": [{"who": "Adaeze Lund", "what": "offers", "by": None}]}
    server.script(Says(json.dumps(found)))
    given = context(
        texts["instruction.txt"],
        texts["minutes.txt"],
        schema=texts["tasks.schema.json"],
        template=texts["prompt.txt"],
    )

    result = await answer(given)

    assert result.data == found
    asked = last(server.requests[0])
    assert asked.startswith("You are the clerk of a small town")
    assert texts["instruction.txt"].strip() in asked
    assert texts["minutes.txt"] in asked


async def test_an_answer_that_no_json_can_carry_on_is_asked_for_again(server: StandIn) -> None:
    server.script(Says('{"city": "\\ud800", "people": 1}'), Says(json.dumps(RIGHT)))

    result = await answer(context(schema=json.dumps(SCHEMA)))

    assert (result.data, result.repairs) == (RIGHT, 1)
