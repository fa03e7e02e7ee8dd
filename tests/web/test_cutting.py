"""The bodies of batches, cut into jobs wherever the network cuts them into pieces."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixnet.errors import Invalid
from helixnet.web.cutting import Cutter, Elements, Lines

LONGEST = 1000

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
cuts = st.lists(st.integers(0, 400), max_size=6)


def cut(cutter: Cutter, body: bytes, places: list[int]) -> list[tuple[int, bytes]]:
    """Feed the body in pieces that end at these places."""
    ends = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(ends)]
    found = [job for piece in pieces for job in cutter.take(piece, last=False)]
    return [*found, *cutter.take(b"", last=True)]


@given(st.lists(anything, max_size=6), cuts, st.booleans(), st.sampled_from([None, 1]))
def test_an_array_falls_into_its_elements_wherever_it_is_cut(
    items: list[Any], places: list[int], ascii_only: bool, indent: int | None
) -> None:
    body = json.dumps(items, ensure_ascii=ascii_only, indent=indent).encode(errors="replace")
    expected = json.loads(body)

    found = cut(Elements(10**6), body, places)

    assert [number for number, _ in found] == list(range(1, len(items) + 1))
    assert [json.loads(element) for _, element in found] == expected


@given(st.lists(st.sampled_from([b"", b" ", b'{"a": 1}', b"[]\r", "{é}".encode()]), max_size=8), cuts)
def test_lines_keep_their_numbers_and_blank_ones_are_left_out(lines: list[bytes], places: list[int]) -> None:
    found = cut(Lines(LONGEST), b"\n".join(lines), places)

    assert found == [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


@given(cuts)
def test_a_line_that_is_too_long_is_held_as_far_as_that_can_be_told(places: list[int]) -> None:
    body = b"x" * 5 + b"\n" + b"y" * 300 + b"\n" + b"z" * 5

    found = cut(Lines(10), body, places)

    assert [number for number, _ in found] == [1, 2, 3]
    assert (found[0][1], found[2][1]) == (b"xxxxx", b"zzzzz")
    assert 10 < len(found[1][1]) <= 300


def test_no_more_of_an_endless_line_is_held_than_a_job_may_have() -> None:
    lines = Lines(LONGEST)

    for _ in range(1000):
        assert list(lines.take(b"x" * 1000, last=False)) == []

    (found,) = lines.take(b"\n", last=True)
    assert (found[0], len(found[1])) == (1, LONGEST + 1)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "ends too early"),
        (b"{}", "must be a JSON array"),
        (b"[{}", "Job 2 .* ends too early"),
        (b"[{},", "Job 2 .* ends too early"),
        (b"[{}, {nonsense}]", "Job 2 .* not JSON"),
        (b"[{},]", "Job 2 .* not JSON"),
        (b"[{} {}]", "Job 2 .*, or ] was expected"),
        (b"[,]", "Job 1 .* not JSON"),
        (b"[{}] []", "nothing was expected"),
        (b'[{}, "\xff"]', "not UTF-8, somewhere behind job"),
        (b"[" * 100_000, "Job 1 .* not JSON"),
        (b"[" + b"9" * 5_000 + b"]", "Job 1 .* not JSON"),
    ],
)
def test_a_broken_array_is_refused_with_the_place(body: bytes, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        cut(Elements(10**6), body, [])


def test_an_element_without_an_end_is_given_up_once_it_is_longer_than_a_job_may_be() -> None:
    elements = Elements(LONGEST)
    assert list(elements.take(b'["' + b"x" * (LONGEST - 1), last=False)) == []

    with pytest.raises(Invalid, match=f"longer than {LONGEST} bytes"):
        list(elements.take(b"x", last=False))
