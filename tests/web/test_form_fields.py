"""The form for a processor's parameters: which fields it has, and what they mean once they are filled."""

import math
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from helixnet.errors import Invalid
from helixnet.processors import Processor
from helixnet.processors.registry import InvalidParams, load, parse_params
from helixnet.web.pages import params
from tests.web.plugin.acme_tools import PROCESSORS, DrawParams

DRAW = PROCESSORS[0]


async def nothing(_context: object, _params: object) -> None: ...


def with_params(model: type[BaseModel]) -> Processor:
    return Processor(name="acme.any", version="1", description="Any.", run=nothing, params=model)


def sent(processor: Processor, **values: str) -> dict[str, str]:
    """A form as a browser sends it when only these fields were touched: all others as they stand at first."""
    untouched = {
        field.sent_as: field.start
        for field in params.fields(processor)
        if field.kind != "flag" or field.start == "true"
    }
    return untouched | {"fields_of": processor.name} | {f"params.{name}": value for name, value in values.items()}


def test_each_parameter_becomes_a_field_of_its_kind() -> None:
    fields = {field.name: field for field in params.fields(DRAW)}

    assert {name: field.kind for name, field in fields.items()} == {
        "title": "text",
        "copies": "integer",
        "scale": "number",
        "shiny": "flag",
        "mirrored": "choice",
        "colour": "choice",
        "format": "choice",
        "limit": "integer",
        "sizes": "json",
        "notes": "lines",
    }
    assert [name for name, field in fields.items() if field.required] == ["copies"]
    assert (fields["copies"].minimum, fields["copies"].maximum, fields["title"].longest) == (1, 9, 40)
    assert (fields["title"].help, fields["title"].start) == ("What stands above it.", "Untitled")
    assert [choice.sent for choice in fields["colour"].choices] == ["red", "green"]
    assert (fields["colour"].start, fields["limit"].start, fields["sizes"].start) == ("green", "10", "[]")
    assert [name for name, field in fields.items() if field.nullable] == ["mirrored", "format", "limit"]


@pytest.mark.parametrize("processor", list(load(development=True)), ids=lambda processor: processor.name)
def test_every_installed_processor_has_a_form_that_gives_its_defaults_when_nothing_is_touched(
    processor: Processor,
) -> None:
    required = [field.name for field in params.fields(processor) if field.required]
    if required:
        with pytest.raises(InvalidParams) as caught:
            parse_params(processor, params.read(processor, sent(processor)))
        assert {violation["path"] for violation in caught.value.violations} == set(required)
    else:
        assert parse_params(processor, params.read(processor, sent(processor))) == processor.params()


def test_what_is_filled_in_is_read_by_its_type() -> None:
    form = sent(
        DRAW,
        title="A <b>house</b>",
        copies="3",
        scale="2.5",
        mirrored="true",
        colour="red",
        format="svg",
        limit="",
        sizes='[{"width": 1, "height": 2}]',
        notes="one\r\ntwo",
    )
    del form["params.shiny"]  # a box that is not ticked is not sent

    read = parse_params(DRAW, params.read(DRAW, form))

    assert read == DrawParams.model_validate(
        {
            "title": "A <b>house</b>",
            "copies": 3,
            "scale": 2.5,
            "shiny": False,
            "mirrored": True,
            "colour": "red",
            "format": "svg",
            "limit": None,
            "sizes": [{"width": 1, "height": 2}],
            "notes": "one\ntwo",
        }
    )


def test_a_form_without_its_mark_has_no_parameters() -> None:
    assert params.read(DRAW, {"params.copies": "3"}) == {}


def test_the_form_of_another_processor_is_refused() -> None:
    with pytest.raises(Invalid, match=r"still shows the fields of acme\.draw"):
        params.read(PROCESSORS[1], sent(DRAW))


@pytest.mark.parametrize(
    ("field", "text", "path", "words"),
    [
        ("copies", "many", "copies", "valid integer"),
        ("copies", "2.5", "copies", "valid integer"),
        ("copies", "", "copies", "required"),
        ("copies", "9" * 5000, "copies", "finite number"),
        ("scale", "0", "scale", "greater than 0"),
        ("colour", "blue", "colour", "'red' or 'green'"),
        ("mirrored", "perhaps", "mirrored", "valid boolean"),
        ("sizes", "[1", "sizes", "This is not JSON"),
        ("sizes", '[{"width": "x"}]', "sizes.0.width", "valid integer"),
        ("sizes", "{}", "sizes", "valid list"),
        ("title", "x" * 41, "title", "at most 40"),
        ("surprise", "x", "surprise", "no such parameter"),
    ],
)
def test_what_does_not_fit_is_told_with_its_field(field: str, text: str, path: str, words: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        parse_params(DRAW, params.read(DRAW, sent(DRAW, **({"copies": "1"} | {field: text}))))

    told = {violation["path"]: violation["message"] for violation in caught.value.violations}
    assert words in told[path]


class Odd(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    day: date = date(2026, 1, 2)
    code: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "ABC"
    inner: Annotated[str, Field(pattern="[A-Z]")] = "A"
    either: int | str = 3
    fixed: Literal["only"] = "only"
    level: Literal[1, 2] = 2
    weights: dict[str, float] = {}
    above: Annotated[int, Field(gt=0, lt=10)] = 5
    wide: Annotated[float, Field(alias="wide-angle")] = math.pi
    anything: Any = None


def test_unusual_types_have_fields_too() -> None:
    processor = with_params(Odd)
    fields = {field.name: field for field in params.fields(processor)}

    assert (fields["day"].kind, fields["day"].start) == ("text", "2026-01-02")
    assert (fields["code"].pattern, fields["inner"].pattern) == ("[A-Z]{3}", None)
    assert [fields[name].kind for name in ("either", "fixed", "level", "weights", "anything")] == [
        "json",
        "choice",
        "choice",
        "json",
        "json",
    ]
    assert (fields["above"].minimum, fields["above"].maximum) == (1, 9)
    assert fields["wide-angle"].sent_as == "params.wide-angle"
    assert parse_params(processor, params.read(processor, sent(processor))) == Odd()
    read = parse_params(processor, params.read(processor, sent(processor, either='"four"', level="1")))
    assert (read.either, read.level) == ("four", 1)  # type: ignore[attr-defined]


def test_a_model_that_no_schema_can_say_has_an_empty_form() -> None:
    class Strange(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        thing: Processor | None = None
        made: type = int

    assert params.fields(with_params(Strange)) == []
