"""What a run tells on standard error, whatever its processor says."""

import pytest

from helixnet.cli.shown import Shown


def test_text_that_comes_in_pieces_stays_one_and_a_line_after_it_begins_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = Shown()

    for piece in ("Once ", "upon", " a time"):
        shown.text(piece)
    shown.log("done", {"words": 4})

    assert capsys.readouterr().err == "Once upon a time\n   ·  done  words=4\n"


def test_progress_is_told_four_times_a_second_at_most_and_the_end_always(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown()

    for step in range(1000):
        shown.progress(step / 1000, "at work")
    shown.progress(1, "done")

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  0%  at work"
    assert lines[-1] == "100%  done"
    assert len(lines) < 100


def test_nothing_that_steers_a_terminal_gets_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown()

    shown.text("\x1b[2Jgone\x9b31m\r\x07\n")
    shown.log("\x1b]0;title\x07", {"\x1b[1m": "\x00"})
    shown.failure({"kind": "input", "message": "\x1b[31mred", "details": {"path": "a\x1bb"}})

    told = capsys.readouterr().err
    assert not [sign for sign in told if (ord(sign) < 32 and sign not in "\n\t") or 127 <= ord(sign) < 160]
    assert told.startswith("[2Jgone31m\n")


def test_every_violation_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = [{"path": "rows.3.price", "message": "is no number"}, {"path": "", "message": "lacks a title"}, "odd"]

    Shown().failure({"kind": "input", "message": "It does not fit.", "details": {"violations": found, "file": "a"}})

    assert capsys.readouterr().err.splitlines() == [
        "FAILED (input): It does not fit.",
        "  rows.3.price: is no number",
        "  as a whole: lacks a title",
        '  "odd"',
        "{",
        '  "file": "a"',
        "}",
    ]
