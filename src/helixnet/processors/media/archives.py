"""What is gathered of an archive while its entries go by, whatever its format."""

from dataclasses import dataclass, field

from helixnet.processors.media.names import check_name
from helixnet.processors.media.notes import Notes, shown
from helixnet.processors.media.results import Archive, Entry, EntryKind

MOST_ENTRIES = 200_000
"""Entries that are looked at; an archive of more is not read to its end."""
LARGE_BYTES, LARGE_RATIO = 1024**3, 100
"""From when on the promised size is warned of: so many bytes, and so many for each byte of the file."""


@dataclass
class Gathering:
    """Counts and the first entries of an archive, in constant memory but for the names' marks."""

    format: str
    most_listed: int
    notes: Notes
    entries: int = 0
    files: int = 0
    unpacked: int = 0
    encrypted: int = 0
    complete: bool = True
    listing: list[Entry] = field(default_factory=list)
    _names: set[int] = field(default_factory=set)

    @property
    def is_listing(self) -> bool:
        """Whether there is room in the listing, and so use for more than an entry's name and size."""
        return len(self.listing) < self.most_listed

    @property
    def is_full(self) -> bool:
        """Whether no more entries are looked at; the first time, it is warned of."""
        if self.entries < MOST_ENTRIES:
            return False
        self.stop("entries", f"The archive has more than {MOST_ENTRIES:,} entries; the rest was not looked at.")
        return True

    def stop(self, code: str, message: str) -> None:
        """Say why the archive is not read to its end."""
        self.complete = False
        self.notes.say(code, message)

    def add(
        self,
        name: str,
        kind: EntryKind,
        size: int,
        *,
        packed: int | None = None,
        modified: str | None = None,
        target: str | None = None,
        encrypted: bool = False,
    ) -> None:
        """Count an entry, whose name is as it stands in the archive."""
        self.entries += 1
        if kind == "file":
            self.files += 1
            self.unpacked += size
        if encrypted:
            self.encrypted += 1
            self.notes.entry("encrypted", name)
        check_name(name, self.notes)
        mark = hash(name)
        if mark in self._names and kind != "folder":
            self.notes.entry("twice", name)
        self._names.add(mark)
        if self.is_listing:
            entry = Entry(
                name=shown(name),
                kind=kind,
                size=size,
                packed=packed,
                modified=modified,
                target=None if target is None else shown(target),
                encrypted=encrypted,
            )
            self.listing.append(entry)

    def result(self, size: int) -> Archive:
        """The facts, for a file of `size` bytes; warns of a promise that is out of proportion."""
        ratio = self.unpacked / size if size else 0.0
        if self.unpacked > LARGE_BYTES and ratio > LARGE_RATIO:
            self.notes.say(
                "bomb", f"Its {size:,} bytes would unpack to {self.unpacked:,}, {ratio:,.0f} times as much: a bomb."
            )
        return Archive(
            format=self.format,
            entries=self.entries,
            files=self.files,
            unpacked=self.unpacked,
            ratio=round(ratio, 2),
            encrypted=self.encrypted,
            complete=self.complete,
            listing=self.listing,
        )
