"""Running as root: PostgreSQL refuses to, so the servers get an ordinary account."""

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from helixnet.errors import CannotStart

CANDIDATES = ("postgres", "nobody")
# Where the account can't pass: the right to search any folder, or, as containers often lack that one, to override.
RIGHTS = ("dac_read_search", "dac_override")
# Else access(2), by which PostgreSQL's programs look for each other, would leave the rights out of account.
COUNT_RIGHTS = "--securebits=+no_setuid_fixup"
BECOME = (
    "import os, sys; uid, gid, *command = sys.argv[1:]; os.setgroups([]); os.setgid(int(gid)); os.setuid(int(uid)); "
    "os.execv(command[0], command)"
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account for the servers' processes."""

    name: str
    uid: int
    gid: int

    def own(self, folder: Path) -> None:
        """Give the account a folder and what is in it."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def command(self, command: list[str], folder: Path = Path("/")) -> list[str]:
        """The command under this account, able to reach its own program and a folder; raises CannotStart.

        Home and programs may lie where only root can pass, as below /root. Changing those folders' permissions would
        open them to everybody; instead the processes get the right to pass, and only where they need it.
        """
        ways = self._ways()
        for way in ways:
            if _reaches(way, Path(command[0]), folder):
                return [*way, *command]
        hint = "" if len(ways) > 1 else ", or install `setpriv` (of util-linux)"
        raise CannotStart(
            f"PostgreSQL can't run as root, and the account `{self.name}` can't reach {command[0]} or {folder}: "
            f"choose another --home{hint}"
        )

    def _ways(self) -> list[list[str]]:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            return [[sys.executable, "-I", "-S", "-c", BECOME, str(self.uid), str(self.gid)]]
        plain = [setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs"]
        with_right = [
            [*plain, COUNT_RIGHTS, f"--inh-caps=-all,+{right}", f"--ambient-caps=-all,+{right}"] for right in RIGHTS
        ]
        return [plain, *with_right]


def server_account(data: Path) -> Account | None:
    """The account for servers that refuse root; None when this process isn't root and needs none.

    Data that exists stays with the account that owns it.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(_name_of(data.stat().st_uid), data.stat().st_uid, data.stat().st_gid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise CannotStart(f"as root, HelixNet needs an account for PostgreSQL: one of {', '.join(CANDIDATES)}")


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _reaches(way: list[str], program: Path, folder: Path) -> bool:
    script = 'test -x "$1" && cd "$2"'
    command = [*way, "/bin/sh", "-c", script, "sh", str(program), str(folder)]
    return subprocess.run(command, capture_output=True, cwd="/", check=False).returncode == 0  # noqa: S603
