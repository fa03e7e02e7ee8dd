"""YAML as values: the types of JSON, told as YAML 1.2 does (its core schema), and no larger than it looks.

PyYAML builds an alias as a second reference to one value. What walks through such values, as a template or a validator
does, would meet them as often as they are named ("billion laughs"): so their number is taken before anything is built.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from helixnet.processors.base import OverLimit, Reject

MOST_NODES = 300_000
"""Values in all, where an alias counts for all that it stands for."""
DEEPEST = 60
LONGEST_NUMBER = 300
"""Digits; a longer one is text."""

_MERGE = "tag:yaml.org,2002:merge"
# YAML 1.2.2, section 10.3.2, without .inf and .nan, which JSON can't say.
_SCALARS = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    (
        "int",
        re.compile(rf"^(?:[-+]?[0-9]{{1,{LONGEST_NUMBER}}}|0o[0-7]{{1,300}}|0x[0-9a-fA-F]{{1,300}})$"),
        list("-+0123456789"),
    ),
    (
        "float",
        re.compile(r"^[-+]?(?:\.[0-9]{1,300}|[0-9]{1,300}(?:\.[0-9]{0,300})?)(?:[eE][-+]?[0-9]{1,3})?$"),
        list("-+.0123456789"),
    ),
    ("merge", re.compile(r"^<<$"), ["<"]),
)


def load_yaml(text: str, what: str) -> Any:
    """The value of the one document in the text. `what` names the file in the words of an error.

    Raises Reject with line and column for what is no YAML, for keys that occur twice and tags that JSON has no type
    for, and OverLimit where aliases or depth make more of it than can be handled.
    """
    import yaml

    try:
        _look_through(text, what)
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a SafeLoader, with fewer types still
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused(what, mark, error.problem or error.context or "it can't be read") from error
    except yaml.YAMLError as error:
        raise Reject(f"The {what} is no YAML: {error}") from error


@dataclass(slots=True)
class _Open:
    """A list or mapping that the reading is inside of."""

    anchor: str | None
    mapping: bool
    size: int = 1
    children: int = 0
    keys: set[str] = field(default_factory=set)


def _look_through(text: str, what: str) -> None:
    """Count what the text stands for before anything is built of it."""
    import yaml

    sizes: dict[str, int] = {}
    open_ones: list[_Open] = []
    documents = total = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise _refused(what, event.start_mark, "a second document begins here; one file is one document")
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                open_ones.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
                sizes.pop(event.anchor, None)  # inside of it, its own name means itself
                total += 1
                if len(open_ones) > DEEPEST:
                    at = event.start_mark
                    raise OverLimit(f"The {what} is nested deeper than {DEEPEST} levels.", line=at.line + 1)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                ended = open_ones.pop()
                if ended.anchor is not None:
                    sizes[ended.anchor] = ended.size
                _count(open_ones, ended.size)
            case yaml.ScalarEvent():
                if open_ones and open_ones[-1].mapping and open_ones[-1].children % 2 == 0:
                    _look_at_key(open_ones[-1], event, what)
                if event.anchor is not None:
                    sizes[event.anchor] = 1
                total += 1
                _count(open_ones, 1)
            case yaml.AliasEvent():
                if event.anchor not in sizes:
                    raise _refused(what, event.start_mark, f"*{event.anchor} names nothing before it, or itself")
                total += sizes[event.anchor]
                _count(open_ones, sizes[event.anchor])
        if total > MOST_NODES:
            raise OverLimit(
                f"The {what} stands for over {MOST_NODES:,} values, aliases included. "
                "Hand over that much as JSON or CSV, without aliases.",
                line=event.start_mark.line + 1,
            )


def _count(open_ones: list[_Open], size: int) -> None:
    if open_ones:
        open_ones[-1].size += size
        open_ones[-1].children += 1


def _look_at_key(inside: _Open, event: Any, what: str) -> None:
    key = event.value
    if key == "<<" and event.implicit[0]:
        return
    if key in inside.keys:
        raise _refused(what, event.start_mark, f"the key {key!r} is there twice")
    inside.keys.add(key)


def _refused(what: str, mark: Any, problem: str) -> Reject:
    if mark is None:
        return Reject(f"The {what} is no YAML that can be used: {problem}.")
    line, column = mark.line + 1, mark.column + 1
    return Reject(
        f"The {what} is no YAML that can be used, in line {line}, column {column}: {problem}.", line=line, column=column
    )


@cache
def _loader() -> Any:
    """A loader that knows the types of JSON only; made once, since PyYAML keeps such things in its classes."""
    import yaml
    from yaml.constructor import ConstructorError, SafeConstructor

    class Values(yaml.CSafeLoader):  # type: ignore[misc] # PyYAML has no types
        yaml_constructors: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as above

    for name, pattern, first in _SCALARS:
        Values.add_implicit_resolver(f"tag:yaml.org,2002:{name}", pattern, first)
    for name in ("null", "str", "seq"):
        Values.add_constructor(f"tag:yaml.org,2002:{name}", getattr(SafeConstructor, f"construct_yaml_{name}"))

    def boolean(loader: Any, node: Any) -> bool:
        return str(loader.construct_scalar(node)).lower() == "true"

    def integer(loader: Any, node: Any) -> int:
        written = loader.construct_scalar(node)
        return int(written, 8 if written.startswith("0o") else 16 if written.startswith("0x") else 10)

    def floating(loader: Any, node: Any) -> float:
        return float(loader.construct_scalar(node))

    def mapping(loader: Any, node: Any) -> Any:
        made: dict[str, Any] = {}
        yield made
        for key, value in loader.construct_mapping(node).items():
            if not isinstance(key, str | int | float | bool | None):
                raise ConstructorError(None, None, "a key is a list or a mapping", node.start_mark)
            made[key if isinstance(key, str) else _key(key)] = value

    def unknown(_loader: Any, node: Any) -> Any:
        raise ConstructorError(None, None, f"the tag {node.tag} is none of the types of JSON", node.start_mark)

    for name, function in (("bool", boolean), ("int", integer), ("float", floating), ("map", mapping)):
        Values.add_constructor(f"tag:yaml.org,2002:{name}", function)
    Values.add_constructor(None, unknown)
    return Values


def _key(key: float | None) -> str:
    """A key as JSON has it: text."""
    if key is None:
        return "null"
    return str(key).lower() if isinstance(key, bool) else str(key)
