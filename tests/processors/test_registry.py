"""What a processor says of its files, and how a submission is held to it."""

from dataclasses import dataclass

import pytest

from helixnet.errors import Invalid, TooLarge
from helixnet.processors import InputRole, JobContext, NoParams, Processor
from helixnet.processors.registry import check_files


@dataclass(frozen=True)
class File:
    filename: str
    media_type: str
    size: int = 100


async def run(_context: JobContext, _params: NoParams) -> None:
    return None


TABLE = Processor(
    name="acme.table",
    version="1",
    description="Reads a table.",
    run=run,
    inputs={"content_key": InputRole("A table.", media_types=("text/*", "application/json"), max_bytes=1000)},
)


@pytest.mark.parametrize(
    "file",
    [
        File("a.csv", "text/csv; charset=utf-8"),
        File("a.csv", "application/vnd.ms-excel"),  # what Windows makes of a CSV
        File("a", "application/json"),
        File("a.bin", "application/octet-stream"),
    ],
)
def test_a_file_that_may_be_what_is_asked_for_is_taken(file: File) -> None:
    assert TABLE.inputs["content_key"].takes(file.media_type, file.filename)
    check_files(TABLE, {"content_key": file})


def test_a_file_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match=r"content_key: acme.table can't read a.png \(image/png\); it takes text/\*"):
        check_files(TABLE, {"content_key": File("a.png", "image/png")})


def test_a_file_that_is_too_large_is_refused_with_the_limit() -> None:
    with pytest.raises(TooLarge, match=r"a\.csv has 1,001 bytes; acme\.table takes at most 1,000"):
        check_files(TABLE, {"content_key": File("a.csv", "text/csv", 1001)})
