"""The environment that templates run in: Jinja's sandbox, with bounds on what a template may multiply.

What slips past these bounds ends at the memory and the CPU time of the process; they are there to say it in words.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar

from jinja2 import StrictUndefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from helixnet.processors.base import OverLimit

MOST_STEPS = 100_000
"""Of a range."""
LONGEST = 4 * 1024 * 1024
"""Characters or elements of what one operation makes."""
WIDEST = 10_000
"""Characters that a filter or a format may pad to, and elements that one may fill up to."""
MOST_BITS = 10_000
"""Of a number."""

_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_WIDE = re.compile(r"\d{5,}")
_WITH_WIDTH = ("batch", "center", "indent", "slice", "truncate", "wordwrap")
# Of no use in a report: text made up of nothing, and an order that is another one in each attempt.
_LEFT_OUT_GLOBALS, _LEFT_OUT_FILTERS = ("lipsum",), ("random",)


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates see values, filters and tests; no attribute that begins with an underscore, no file, no other template.

    In a mapping its own entries come before its methods: `order.items` is the entry.
    """

    intercepted_binops: ClassVar[frozenset[str]] = frozenset({"+", "*", "**", "%"})  # type: ignore[misc]

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True)
        for name in _LEFT_OUT_GLOBALS:
            del self.globals[name]
        for name in _LEFT_OUT_FILTERS:
            del self.filters[name]
        self.globals["range"] = bounded_range
        for name in _WITH_WIDTH:
            self.filters[name] = _bounded(name, self.filters[name])
        self.filters |= {"number": number, "line": line, "table": table}

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        match operator:
            case "**":
                _look_at_power(left, right)
            case "*":
                _look_at_product(left, right)
            case "+" if _size(left) + _size(right) > LONGEST:
                raise OverLimit(f"The template makes something longer than {LONGEST:,} elements, by adding.")
            case "%" if isinstance(left, str):
                _look_at_format(left)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - as Jinja's
        name, owner = getattr(__obj, "__name__", ""), getattr(__obj, "__self__", None)
        if isinstance(owner, str) and name in _PADDING:
            _look_at_widths(name, (*args, *kwargs.values()))
        wrapped = getattr(getattr(__obj, "__wrapped__", None), "__self__", None)
        if isinstance(wrapped, str):  # Jinja's own format and format_map
            _look_at_format(wrapped)
        return super().call(__context, __obj, *args, **kwargs)


def bounded_range(*steps: int) -> range:
    """A range of at most a hundred thousand steps; raises OverLimit."""
    made = range(*steps)
    try:
        if len(made) <= MOST_STEPS:
            return made
    except OverflowError:
        pass
    raise OverLimit(f"The template asks for a range of over {MOST_STEPS:,} steps.")


def number(value: Any, digits: int | None = None, thousands: str = ",", point: str = ".") -> str:
    """A number for people: 1234567.5 | number(2) is 1,234,567.50; whatever is no number stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if digits is not None and not 0 <= digits <= 20:
        raise OverLimit("The filter number takes 0 to 20 digits.")
    if digits is None:
        written = f"{value:,}" if isinstance(value, int) or not value.is_integer() else f"{int(value):,}"
    else:
        written = f"{value:,.{digits}f}"
    return written.translate({ord(","): thousands, ord("."): point})


def line(value: Any) -> str:
    """A value on one line of Markdown, its signs taken as they are: for headings, lists and the cells of tables."""
    if isinstance(value, Markup):
        return value
    text = number(value) if isinstance(value, int | float) and not isinstance(value, bool) else _written(value)
    return _MARKS.sub(r"\\\g<0>", " ".join(text.split()))


def table(rows: Sequence[Any], columns: Sequence[str] | None = None) -> str:
    """Rows (mappings, or objects with attributes) as a table of Markdown; numbers stand to the right."""
    rows = list(rows)
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row))
    cells = [[_cell(row, column) for column in columns] for row in rows]
    numeric = [
        any(isinstance(row[at], int | float) for row in cells)
        and all(row[at] is None or isinstance(row[at], int | float) for row in cells)
        for at in range(len(columns))
    ]
    lines = [[line(column) for column in columns], ["---:" if right else "---" for right in numeric]]
    lines += [[line(cell) for cell in row] for row in cells]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


# Of CommonMark and its tables; a pipe would end the cell.
_MARKS = re.compile(r"[\\`*_{}\[\]<>|~]|^[#+-]|(?<=^\d)[.)](?=\s|$)|(?<=^\d\d)[.)](?=\s|$)")


def _written(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_written, value))
        case dict():
            return ", ".join(f"{name}: {_written(each)}" for name, each in value.items())
    return str(value)


def _cell(row: Any, column: str) -> Any:
    return row.get(column) if isinstance(row, Mapping) else getattr(row, column, None)


def _bounded(name: str, wrapped: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(wrapped)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _look_at_widths(name, (*args[1:], *kwargs.values()))
        return wrapped(*args, **kwargs)

    return bounded


def _look_at_widths(name: str, widths: tuple[Any, ...]) -> None:
    if any(isinstance(width, int | float) and width > WIDEST for width in widths):
        raise OverLimit(f"The template lets {name} go to over {WIDEST:,}.")


def _look_at_format(written: str) -> None:
    if _WIDE.search(written):
        raise OverLimit(f"The template formats to a width of over {WIDEST:,}.")


def _look_at_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > MOST_BITS:
        raise OverLimit("The template makes a number of more digits than anybody reads, by **.")


def _look_at_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MOST_BITS:
            raise OverLimit("The template makes a number of more digits than anybody reads, by *.")
        return
    times = left if isinstance(left, int) else right if isinstance(right, int) else 0
    if max(_size(left), _size(right)) * times > LONGEST:
        raise OverLimit(f"The template makes something longer than {LONGEST:,} elements, by *.")


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0
