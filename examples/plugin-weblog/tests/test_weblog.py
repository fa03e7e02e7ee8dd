"""weblog.summary and weblog.mask, run as a worker runs them, without a server."""

import csv
from pathlib import Path

import pytest
from helixnet_weblog.mask import MASK
from helixnet_weblog.summary import SUMMARY

from helixnet.local import run
from helixnet.processors.registry import load

SAMPLE = Path(__file__).parents[1] / "sample" / "access.log"


def test_the_sample_is_summed_up(tmp_path: Path) -> None:
    ended = run(SUMMARY, {"content_key": SAMPLE}, {"paths": 2}, out=tmp_path)

    assert ended.error is None
    assert ended.result == {
        "requests": 12,
        "unreadable": 0,
        "clients": 5,
        "bytes_sent": 67_614,
        "first": "2026-03-02T08:59:58+01:00",
        "last": "2026-03-02T11:20:05+01:00",
        "statuses": {"200": 8, "304": 1, "404": 2, "500": 1},
        "paths": [{"path": "/", "requests": 4, "errors": 0}, {"path": "/report", "requests": 3, "errors": 1}],
    }


def test_each_hour_has_a_row(tmp_path: Path) -> None:
    ended = run(SUMMARY, {"content_key": SAMPLE}, out=tmp_path)

    with ended.artifacts["hours.csv"].path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["hour"][:13] for row in rows] == ["2026-03-02T08", "2026-03-02T09", "2026-03-02T11"]
    assert [int(row["requests"]) for row in rows] == [1, 7, 4]
    assert sum(int(row["bytes_sent"]) for row in rows) == 67_614


def test_what_is_no_access_log_is_refused_with_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "poem.log"
    file.write_text(SAMPLE.read_text().splitlines()[0] + "\nno access log\nat all\n")

    ended = run(SUMMARY, {"content_key": file}, out=tmp_path / "out")

    assert ended.error is not None
    assert ended.error["kind"] == "input"
    assert ended.error["details"] == {"unreadable": 2, "lines": 3, "first_line": 2}


def test_addresses_are_cut_to_their_networks_and_nothing_else_is_changed(tmp_path: Path) -> None:
    ended = run(MASK, {"content_key": SAMPLE}, out=tmp_path)

    assert ended.result == {"lines": 12, "addresses": 11}
    before = SAMPLE.read_text().splitlines()
    after = ended.artifacts["masked.log"].path.read_text().splitlines()
    hosts = {line.split(" ")[0] for line in after}
    assert hosts == {"192.0.2.0", "198.51.100.0", "2001:db8:7::", "-"}
    assert [line.split(" ", 1)[1] for line in after] == [line.split(" ", 1)[1] for line in before]


def test_lines_that_lie_across_pieces_stay_whole(tmp_path: Path) -> None:
    """A file of more than one piece (1 MiB)."""
    file = tmp_path / "long.log"
    file.write_text(SAMPLE.read_text() * 1000)

    ended = run(MASK, {"content_key": file}, {"ipv4_bits": 32, "ipv6_bits": 128}, out=tmp_path / "out")

    assert ended.result == {"lines": 12_000, "addresses": 11_000}
    assert ended.artifacts["masked.log"].size == file.stat().st_size - 1000 * (len("proxy.example") - 1)


@pytest.mark.parametrize("name", ["weblog.summary", "weblog.mask"])
def test_it_is_installed(name: str) -> None:
    assert name in {processor.name for processor in load(development=False)}
