"""Sound files and the sound of videos by tinytag: how long they are, and what their tags say."""

from pathlib import Path

from helixnet.processors.media.notes import Notes, shown
from helixnet.processors.media.results import SoundFacts

LONGEST_TAG = 300
# Of the Ogg, MPEG-4, RIFF, AIFF, FLAC and MPEG audio kinds that tinytag knows.
_TYPES = frozenset({"audio/mpeg", "audio/ogg", "audio/wav", "audio/flac", "audio/aiff", "audio/mp4", "video/mp4"})
_TAGS = ("title", "artist", "album", "albumartist", "composer", "genre", "year", "track", "comment")


def can_listen(media_type: str) -> bool:
    """Whether files of this type are looked into."""
    return media_type in _TYPES


def listen_to(path: Path, notes: Notes) -> SoundFacts | None:
    """The facts of a sound file; None with a warning where it can't be read."""
    from tinytag import TinyTag

    try:
        with path.open("rb") as file:
            tag = TinyTag.get(file_obj=file)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser of broken files raises whatever comes to its mind
        notes.say("damaged", f"Its sound can't be read: it is damaged or cut off ({shown(str(error), 200)}).")
        return None
    tags = {name: shown(str(value), LONGEST_TAG) for name in _TAGS if (value := getattr(tag, name, None))}
    return SoundFacts(
        seconds=_positive(tag.duration),
        bitrate=_positive(tag.bitrate),
        sample_rate=tag.samplerate or None,
        channels=tag.channels or None,
        tags=tags,
    )


def _positive(number: float | None) -> float | None:
    return round(number, 3) if number and 0 < number < 2**53 else None
