"""A form for a processor's parameters, made from their JSON Schema, and the parameters that its fields mean.

What a form has no field for (lists, objects, a choice of types) is written as JSON. Schemas are those that Pydantic
makes (JSON Schema draft 2020-12).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from helixnet.errors import Invalid
from helixnet.processors.base import Processor
from helixnet.processors.registry import InvalidParams
from helixnet.processors.schemas import params_schema

# The name of a parameter's field in the form; and the field that says whose parameters the form has.
PREFIX = "params."
MARK = "fields_of"
# A text that may be longer than this gets a field of several lines.
LONGEST_LINE = 200
YES, NO = "true", "false"

Kind = Literal["text", "lines", "integer", "number", "flag", "choice", "json"]


@dataclass(frozen=True, slots=True)
class Choice:
    """An option: what the form sends, what the reader sees, and what it means."""

    sent: str
    label: str
    value: Any


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter as a field of the form. `start` is what stands in it at first, as text."""

    name: str
    label: str
    help: str
    kind: Kind
    required: bool
    nullable: bool
    start: str
    choices: Sequence[Choice] = ()
    minimum: float | None = None
    maximum: float | None = None
    longest: int | None = None
    pattern: str | None = None

    @property
    def sent_as(self) -> str:
        return PREFIX + self.name

    def read(self, text: str | None) -> Any:
        """What the text in the field means; ABSENT to leave the parameter to its default.

        What is no value of the field's type stays text: the parameters' own model has words for it. Raises ValueError
        for what should be JSON and is not.
        """
        if self.kind == "flag":
            return text == YES
        if text is None:
            return ABSENT
        if self.kind in ("text", "lines"):
            return self._text(text.replace("\r\n", "\n"))
        if not text.strip():
            return None if self.nullable else ABSENT
        match self.kind:
            case "integer" | "number":
                return _number(text)
            case "choice":
                return next((choice.value for choice in self.choices if choice.sent == text), text)
            case _:
                return orjson.loads(text)

    def _text(self, text: str) -> Any:
        """An empty field is no text where there may be none; one that has to be filled is told to be missing."""
        if text:
            return text
        if self.nullable:
            return None
        return ABSENT if self.required else ""


class _Absent:
    """What a field means that was left to the default."""


ABSENT = _Absent()


def fields(processor: Processor) -> list[Field]:
    """The fields of the form for a processor's parameters."""
    schema = params_schema(processor)
    required = schema.get("required", [])
    return [
        _field(name, about, schema.get("$defs", {}), required=name in required)
        for name, about in schema.get("properties", {}).items()
    ]


def knows(name: str) -> bool:
    """Whether a part of the form is a parameter's field, or says whose they are."""
    return name == MARK or name.startswith(PREFIX)


def read(processor: Processor, sent: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that the form's fields mean, each by the type that the schema says.

    Without the mark there was no form, and so nothing to read. Raises InvalidParams for a field that should be JSON
    and is not or that the processor has not, and Invalid for a form that was made for another processor.
    """
    mark = sent.get(MARK)
    if mark is None:
        return {}
    if mark != processor.name:
        raise Invalid(f"The form still shows the fields of {mark}: look at those of {processor.name} first.")
    known = {field.sent_as: field for field in fields(processor)}
    wrong = [
        {"path": name.removeprefix(PREFIX), "message": f"{processor.name} has no such parameter"}
        for name in sent
        if name.startswith(PREFIX) and name not in known
    ]
    params: dict[str, Any] = {}
    for name, field in known.items():
        try:
            value = field.read(sent.get(name))
        except ValueError as error:
            wrong.append({"path": field.name, "message": f"This is not JSON: {error}"})
            continue
        if value is not ABSENT:
            params[field.name] = value
    if wrong:
        raise InvalidParams(f"The parameters do not fit {processor.name}.", processor.name, wrong)
    return params


def _field(name: str, about: Mapping[str, Any], definitions: Mapping[str, Any], *, required: bool) -> Field:
    schema, nullable = _plain(about, definitions)
    choices = _choices(schema)
    kind = _kind(schema, choices, nullable=nullable)
    if kind == "choice" and not choices:
        choices = [Choice(YES, "Yes", True), Choice(NO, "No", False)]
    return Field(
        name=name,
        label=str(about.get("title") or name.replace("_", " ").capitalize()),
        help=str(about.get("description") or schema.get("description") or ""),
        kind=kind,
        required=required and not nullable and kind != "flag",
        nullable=nullable,
        start=_start(kind, about, choices),
        choices=choices,
        minimum=_bound(schema, "minimum", "exclusiveMinimum"),
        maximum=_bound(schema, "maximum", "exclusiveMaximum"),
        longest=schema.get("maxLength"),
        pattern=_pattern(schema),
    )


def _plain(about: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The schema of the value itself, without the wrappings of references and of null, and whether null is allowed."""
    schema = _resolved(about, definitions)
    kinds = schema.get("anyOf")
    if not isinstance(kinds, list):
        return schema, False
    others = [kind for kind in kinds if kind.get("type") != "null"]
    nullable = len(others) < len(kinds)
    # Several types in one field can't be told apart: the reader writes JSON.
    return (_resolved(others[0], definitions) if len(others) == 1 else {}), nullable


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    place = str(schema.get("$ref", ""))
    return definitions.get(place.removeprefix("#/$defs/"), {}) | dict(schema) if place else schema


def _kind(schema: Mapping[str, Any], choices: Sequence[Choice], *, nullable: bool) -> Kind:
    if choices:
        return "choice"
    match schema.get("type"):
        case "string":
            short = schema.get("maxLength", LONGEST_LINE + 1) <= LONGEST_LINE
            return "text" if short or "format" in schema or "pattern" in schema else "lines"
        case "integer":
            return "integer"
        case "number":
            return "number"
        case "boolean":
            return "choice" if nullable else "flag"
    return "json"


def _choices(schema: Mapping[str, Any]) -> list[Choice]:
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return [Choice(_text(value), _text(value), value) for value in values]


def _start(kind: Kind, about: Mapping[str, Any], choices: Sequence[Choice]) -> str:
    if "default" not in about or about["default"] is None:
        return ""
    default = about["default"]
    if kind == "json":
        return orjson.dumps(default, option=orjson.OPT_INDENT_2).decode()
    return next((choice.sent for choice in choices if choice.value == default), _text(default))


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _bound(schema: Mapping[str, Any], inclusive: str, exclusive: str) -> float | None:
    """The bound as HTML has one, which is inclusive; None where that can't say the same."""
    if inclusive in schema:
        bound: float = schema[inclusive]
        return int(bound) if float(bound).is_integer() else bound
    if exclusive in schema and schema.get("type") == "integer":
        step = 1 if exclusive == "exclusiveMinimum" else -1
        return int(schema[exclusive]) + step
    return None


def _pattern(schema: Mapping[str, Any]) -> str | None:
    """The pattern as HTML has one, which holds for the whole text; only one that says so itself means the same."""
    pattern = str(schema.get("pattern", ""))
    return pattern[1:-1] if pattern.startswith("^") and pattern.endswith("$") else None


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
