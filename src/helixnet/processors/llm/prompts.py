"""What the model is told: the instruction, the material, and what to do with a part of it."""

import re
from dataclasses import dataclass

from helixnet.processors.base import Reject

Message = dict[str, str]

PART = """\
You are given part {number} of {count} of a longer text, and not the whole. Note down, briefly and faithfully, all \
that is in this part and matters for the task below. Add nothing that is not in it. Do not carry out the task itself: \
it is carried out on the notes of all parts.

The task:
{instruction}"""
NOTES = """\
{instruction}

The text was too long to be read at once. What follows are notes on its parts, in the order of the text."""
SCHEMA = """\
Answer with one JSON document that fits this JSON Schema, and with nothing before or after it:
{schema}"""
REPAIR = """\
This does not fit the JSON Schema:
{violations}
Answer again, with the whole corrected JSON document and nothing else."""

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Prompts:
    """The messages of a job's calls. `template` has `{{ instruction }}` and `{{ content }}` where they belong."""

    instruction: str
    template: str = ""
    schema: str = ""

    def whole(self, content: str | None, *, notes: bool = False) -> list[Message]:
        """The task itself, on the content or on notes of it."""
        instruction = NOTES.format(instruction=self.instruction) if notes else self.instruction
        if self.schema:
            instruction = f"{instruction}\n\n{SCHEMA.format(schema=self.schema)}"
        if self.template:
            return [_user(_filled(self.template, {"instruction": instruction, "content": content or ""}))]
        if content is None:
            return [_user(instruction)]
        return [_system(instruction), _user(content)]

    def part(self, content: str, number: int, count: int) -> list[Message]:
        """Notes on a part of the content."""
        return [_system(PART.format(number=number, count=count, instruction=self.instruction)), _user(content)]

    def repair(self, asked: list[Message], answer: str, violations: list[str]) -> list[Message]:
        """The same again, with what is wrong with the answer."""
        told = "\n".join(f"- {violation}" for violation in violations)
        return [*asked, {"role": "assistant", "content": answer}, _user(REPAIR.format(violations=told))]


def check_template(template: str, *, with_content: bool) -> None:
    """Raise Reject unless a template has the places that it needs, and no others."""
    known = {"instruction", "content"}
    named = {match[1] for match in _PLACEHOLDER.finditer(template)}
    if unknown := named - known:
        raise Reject(
            f"The template has a place for {{{{ {min(unknown)[:100]} }}}}; there are {{{{ instruction }}}} and"
            " {{ content }} only, and no other Jinja."
        )
    if with_content and "content" not in named:
        raise Reject("The template has no place for the content: write {{ content }} where it belongs.")


def _filled(template: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
