"""The content held against a JSON Schema: every violation with its path and what was expected."""

import itertools
from typing import Any

from helixnet.processors.base import OverLimit, Reject

MOST_VIOLATIONS = 20
MOST_COUNTED = 10_000
LONGEST_MESSAGE = 300
LONGEST_PATH = 200


def validate(content: Any, schema: Any) -> None:
    """Raise Reject unless the content is as the JSON Schema says (drafts 4 to 2020-12, told by its `$schema`).

    The details list at most twenty violations and say how many there are. A `$ref` to anything but the schema itself
    is refused: nothing is fetched.
    """
    import jsonschema_rs

    if not isinstance(schema, dict | bool):
        raise Reject("The schema is no JSON Schema: it has to be an object.")
    try:
        # Without lookahead and back references, so that a pattern takes time in proportion to the text.
        validator = jsonschema_rs.validator_for(schema, offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise _no_schema(error) from error
    try:
        # Asked first since it keeps nothing: the errors of a schema that branches into itself may fill the memory.
        if validator.is_valid(content):
            return
        errors = validator.iter_errors(content)
        first = list(itertools.islice(errors, MOST_VIOLATIONS))
        count = len(first) + sum(1 for _ in itertools.islice(errors, MOST_COUNTED - MOST_VIOLATIONS))
    except ValueError as error:
        raise OverLimit(f"The content can't be held against the schema: {_short(error, LONGEST_MESSAGE)}.") from error
    violations = [{"path": _path(each.instance_path), "message": _short(each, LONGEST_MESSAGE)} for each in first]
    told = f"{count:,}" if count < MOST_COUNTED else f"{MOST_COUNTED:,} or more"
    where = violations[0]
    raise Reject(
        f"The content does not fit the schema: {told} violation{'' if count == 1 else 's'}, the first at "
        f"{where['path']}: {where['message']}",
        violations=violations,
        count=count,
    )


def _no_schema(error: Exception) -> Reject:
    path = _path(getattr(error, "instance_path", []))
    message = _short(error, LONGEST_MESSAGE)
    return Reject(f"The schema is no JSON Schema that can be used, at {path}: {message}", path=path)


def _path(steps: list[Any]) -> str:
    """Where in the content, as JSONPath writes it (RFC 9535): $.orders[3].price, $ for the whole."""
    path = "$"
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if step.isidentifier() else f"[{step!r}]"
    return _cut(path, LONGEST_PATH)


def _short(error: Any, most: int) -> str:
    return _cut(str(getattr(error, "message", error)), most)


def _cut(text: str, most: int) -> str:
    """The text without its middle where it is long: an error repeats the value, and says at its end what is wrong."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"
