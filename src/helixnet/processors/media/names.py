"""Names in archives: what would go wrong if they were unpacked as they are."""

import re

from helixnet.processors.media.notes import Notes, is_plain

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")
_STEPS = re.compile(r"[/\\]+")
_ARCHIVES = (
    *(".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".lz4", ".br"),
    *(".jar", ".war", ".ear", ".apk", ".whl", ".cab", ".iso", ".dmg", ".deb", ".rpm"),
)


def check_name(name: str, notes: Notes) -> None:
    """Warn of a name that leads out of the folder, that shows as another, or that is an archive's."""
    if leads_out(name):
        notes.entry("outside", name)
    if not name.isprintable() and not all(map(is_plain, name)):
        notes.entry("hidden_signs", name)
    if name.lower().endswith(_ARCHIVES):
        notes.entry("nested", name)


def check_link(name: str, target: str, notes: Notes, *, hard: bool = False) -> None:
    """Warn of a link, and of one that leads out; a hard link counts from the top of the archive."""
    folder = "" if hard else name.rpartition("/")[0] + "/"
    outside = _ABSOLUTE.match(target) or leads_out(folder.lstrip("/") + target)
    notes.entry("links_outside" if outside else "links", f"{name} → {target}")


def leads_out(name: str) -> bool:
    """Whether a path is absolute, on any system, or climbs above the folder that it starts from."""
    if _ABSOLUTE.match(name):
        return True
    if ".." not in name:
        return False
    depth = 0
    for step in _STEPS.split(name):
        depth += -1 if step == ".." else step not in ("", ".")
        if depth < 0:
            return True
    return False
