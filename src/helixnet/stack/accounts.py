"""Running as root: PostgreSQL refuses to, so its processes get an ordinary account."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from helixnet.errors import CannotStart

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account for a server's processes."""

    name: str
    uid: int
    gid: int

    def own(self, folder: Path) -> None:
        """Give the account a folder and what is in it."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def command(self, command: list[str]) -> list[str]:
        """The command under this account.

        It keeps the right to pass folders that are root's alone (as /root is), where home and programs may lie:
        changing their permissions would open them to everybody.
        """
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise CannotStart("as root, HelixNet needs `setpriv` (of util-linux) to start PostgreSQL")
        rights = ["--inh-caps=-all,+dac_override", "--ambient-caps=+dac_override", "--bounding-set=-all,+dac_override"]
        # Without this bit, access(2) forgets the right again for every account but root.
        rights.append("--securebits=+no_setuid_fixup")
        identity = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs"]
        # The kernel forgets at a change of account whom a process wanted to die with: it is said once more.
        identity += ["--pdeathsig", "INT"]
        return [setpriv, *identity, *rights, *command]


def server_account() -> Account | None:
    """The account for servers that refuse root; None when this process isn't root and needs none."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise CannotStart(f"as root, HelixNet needs an account for PostgreSQL: one of {', '.join(CANDIDATES)}")
