"""The steps of `media.inspect`: read once, tell the type, and look inside where that is safe."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from helixnet.processors.base import InputRole, Output, ProcessLimits, Processor, RetryPolicy
from helixnet.processors.context import BlockingContext, BlockingInput
from helixnet.processors.media import images, sounds, texts, zips
from helixnet.processors.media.archives import Gathering
from helixnet.processors.media.naming import by_name, by_sender
from helixnet.processors.media.notes import Notes, shown
from helixnet.processors.media.reading import HEAD_BYTES, Pass, Reader
from helixnet.processors.media.results import (
    Archive,
    Claim,
    FileType,
    ImageFacts,
    Inspection,
    InspectParams,
    PdfFacts,
    SoundFacts,
    TextFacts,
)
from helixnet.processors.media.signatures import PDF, TAR, UNKNOWN, ZIP, Kind, by_puremagic, by_signature
from helixnet.processors.media.tars import begins_as_tar, list_tar
from helixnet.processors.media.unpacking import FORMATS, Bomb, Damaged, Greedy, Unpacked

LARGEST_INSIDE = 1024**3
"""Images and sounds are read by libraries that jump about in a file, so there must be a copy of it."""
EMPTY = Kind("application/x-empty", "an empty file", ())
_SHORT = {"gzip": "gz", "bzip2": "bz2", "xz": "xz", "zstd": "zst"}


@dataclass
class _Found:
    """What is known so far."""

    kind: Kind | None = None
    told_by: str = "nothing"
    text: TextFacts | None = None
    archive: Archive | None = None
    image: ImageFacts | None = None
    sound: SoundFacts | None = None
    pdf: PdfFacts | None = None


def inspect(context: BlockingContext, params: InspectParams) -> Inspection:
    """Say what the file under `content_key` is, and what is to be known before it is opened or unpacked."""
    source = context.inputs["content_key"]
    notes = Notes()
    context.progress(0.0, "Reading the file")
    reading = Pass(context, source, params.hashes)
    found = _Found()
    if kind := by_signature(reading.head):
        found.kind, found.told_by = kind, "signature"
    elif begins_as_tar(reading.head):
        found.kind, found.told_by = TAR, "container"
    _look_through(found, reading, params, notes)
    reading.finish()

    context.progress(0.92, "Looking inside")
    _tell_the_rest(found, reading, params, notes)
    _look_inside(found, context, source, params, notes)
    # An empty file may be of any kind.
    held = None if found.kind is EMPTY else found.kind
    named, sent = by_name(source.filename, held), by_sender(source.media_type, held)
    if found.kind is not EMPTY:
        _tell_disagreement(found.kind, named, sent, notes)
    context.log(
        f"{shown(source.filename)} is {found.kind.name if found.kind else 'of an unknown type'}.",
        media_type=found.kind.media_type if found.kind else UNKNOWN,
        bytes=reading.size,
        warnings=len(notes.all()),
    )
    context.progress(1.0, "Done")
    return Inspection(
        filename=shown(source.filename),
        size=reading.size,
        type=_type(found),
        by_name=named,
        declared=sent,
        hashes=reading.digests,
        text=found.text,
        archive=found.archive,
        image=found.image,
        sound=found.sound,
        pdf=found.pdf,
        warnings=notes.all(),
    )


def _look_through(found: _Found, reading: Pass, params: InspectParams, notes: Notes) -> None:
    """What can be told only while the file goes by: the entries of archives that have no directory."""
    kind = found.kind
    if kind is ZIP:
        reading.tail_bytes = zips.TAIL_BYTES
    elif kind is TAR:
        entries = Gathering("tar", params.entries, notes)
        list_tar(Reader(reading.pieces()), entries)
        reading.finish()
        found.archive = entries.result(reading.size)
    elif kind is not None and kind.media_type in FORMATS:
        found.archive = _unpack(kind, reading, params, notes)


def _unpack(kind: Kind, reading: Pass, params: InspectParams, notes: Notes) -> Archive:
    """The facts of a compressed file: of its entries if it holds a tar archive, else of its one content."""
    packed = Unpacked(kind, reading.pieces())
    name = FORMATS[kind.media_type]
    entries = Gathering(name, params.entries, notes)
    reader = Reader(packed.pieces())
    head, is_tar = b"", False
    try:
        head = reader.read(HEAD_BYTES)
        is_tar = begins_as_tar(head)
        whole = Reader(_chained(head, reader))
        if is_tar:
            entries.format = f"tar.{_SHORT[name]}"
            list_tar(whole, entries)
        else:
            while reader.read(HEAD_BYTES):
                pass
    except Damaged as error:
        entries.stop("damaged", f"The file is damaged or cut off: {error}.")
    except Greedy as error:
        entries.stop("memory", f"The file was not unpacked: {error}.")
    except Bomb as error:
        entries.stop("bomb", f"The file is a decompression bomb: {error}. Unpacking was stopped there.")
    reading.finish()
    if is_tar:
        return entries.result(reading.size)
    entries.entries, entries.files, entries.unpacked = 1, 1, packed.size
    inner = _kind_of(head, whole=len(head) < HEAD_BYTES) if head else None
    return entries.result(reading.size).model_copy(update={"holds": inner.media_type if inner else None})


def _chained(head: bytes, reader: Reader) -> Iterator[bytes]:
    yield head
    while piece := reader.read(HEAD_BYTES // 4):
        yield piece


def _kind_of(head: bytes, *, whole: bool) -> Kind | None:
    text = None if (kind := by_signature(head)) else texts.by_text(head, whole=whole)
    return kind or (text.kind if text else None)


def _tell_the_rest(found: _Found, reading: Pass, params: InspectParams, notes: Notes) -> None:
    """What the beginning and the end of the file tell together."""
    head, tail = reading.head, reading.tail
    if not reading.size:
        found.kind = EMPTY
        notes.say("empty", "The file is empty.")
    elif found.kind is ZIP:
        entries = Gathering("zip", params.entries, notes)
        if better := zips.list_zip(reading.size, head, tail, entries):
            found.kind, found.told_by = better, "container"
        found.archive = entries.result(reading.size)
    elif found.kind is None:
        if text := texts.by_text(head, whole=reading.size <= len(head)):
            found.kind, found.told_by, found.text = text.kind, "text", text.facts
        elif kind := by_puremagic(head, tail):
            found.kind, found.told_by = kind, "signature"
    if found.kind is not None and found.archive is None and zips.has_directory(tail):
        notes.say("two_in_one", f"The file is {found.kind.name} and a ZIP archive at once.")
    if found.kind is PDF:
        found.pdf = PdfFacts(version=shown(head[5:8].decode("latin-1")))
        if b"%%EOF" not in tail[-2048:]:
            notes.say("cut_off", "The PDF document lacks its end: it may be cut off.")


def _look_inside(
    found: _Found, context: BlockingContext, source: BlockingInput, params: InspectParams, notes: Notes
) -> None:
    """What takes a library that jumps about in the file."""
    media_type = found.kind.media_type if found.kind else UNKNOWN
    is_image = images.can_read(media_type)
    if not is_image and not sounds.can_listen(media_type):
        return
    if source.size > LARGEST_INSIDE:
        notes.say("too_large", f"The file was not looked into: it has over {LARGEST_INSIDE:,} bytes.")
        return
    path = source.path()
    if not is_image:
        found.sound = sounds.listen_to(path, notes)
        return
    found.image, thumbnail = images.look_at(path, media_type, source.size, params, notes)
    if found.image is not None and thumbnail is not None and found.image.thumbnail:
        context.write(found.image.thumbnail, thumbnail, f"image/{params.thumbnail_format}")


def _tell_disagreement(kind: Kind | None, named: Claim, sent: Claim, notes: Notes) -> None:
    real = kind.name if kind else "of an unknown type"
    if named.agrees is False:
        notes.say("name_disagrees", f"By its name the file is {named.media_type}, but it is {real}.")
    if sent.agrees is False:
        notes.say("declared_disagrees", f"It was sent as {shown(sent.media_type or '')}, but it is {real}.")


def _type(found: _Found) -> FileType:
    kind = found.kind or Kind(UNKNOWN, "of an unknown type")
    return FileType.model_validate(
        {
            "media_type": kind.media_type,
            "name": shown(kind.name),
            "extensions": list(kind.extensions),
            "told_by": found.told_by,
        }
    )


INSPECT = Processor(
    name="media.inspect",
    version="1",
    description="Tells what a file is: its type by content, hashes, entries of archives, images with a thumbnail.",
    run=inspect,
    params=InspectParams,
    inputs={"content_key": InputRole("The file, of any kind and size.")},
    outputs={
        "thumbnail.webp": Output("A small upright picture of an image.", "image/webp"),
        "thumbnail.png": Output("The same as PNG, where that is asked for.", "image/png"),
    },
    time_limit=timedelta(minutes=30),
    # The same file would need as much the next time.
    retry=RetryPolicy(again_after_limit=False),
    isolation="process",
    limits=ProcessLimits(memory_bytes=1024**3, cpu_seconds=900, file_bytes=LARGEST_INSIDE, open_files=64),
    preload=("PIL.Image",),
)
