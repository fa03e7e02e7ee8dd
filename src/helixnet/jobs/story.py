"""What a job's page tells of its attempts: the latest of its history, and the text it shows while it works."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from helixnet.jobs.schemas import EventView
from helixnet.jobs.service import Reader
from helixnet.jobs.store import story

# For each line that is asked for, so many events are looked at: most are steps of progress and pieces of text.
EVENTS_A_LINE = 20
OUTPUT_EVENTS = 5000
OUTPUT_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Story:
    """The latest lines in order, whether there are earlier ones, and the end of the text that the attempt shows."""

    lines: Sequence[EventView]
    earlier: bool
    output: str
    output_is_cut: bool


async def tell(session: AsyncSession, reader: Reader, job_id: UUID, attempt: int, count: int) -> Story:
    """Up to `count` lines of the job's history, and the text of one attempt; nothing of a job that is not the reader's.

    Of progress steps that follow each other only the last is a line.
    """
    owner_id = reader.owner_id
    found = await story.lines(session, job_id, owner_id, count * EVENTS_A_LINE, count)
    lines = [EventView.model_validate(line) for line in reversed(found)]
    text = await story.output(session, job_id, owner_id, attempt, OUTPUT_EVENTS, OUTPUT_CHARACTERS)
    return Story(
        lines=lines,
        earlier=not lines or lines[0].seq > 1,  # a job's first event is always a line
        output=text[-OUTPUT_CHARACTERS:],
        output_is_cut=len(text) > OUTPUT_CHARACTERS,
    )
