"""The home of an embedded stack: one folder with its data, secrets, logs, and the state of what runs."""

import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from helixnet.errors import CannotStart
from helixnet.stack import guard
from helixnet.stack.accounts import server_account

# A unix socket's address has 108 bytes (Linux) or 104 (macOS), and the servers add names of their own.
LONGEST_SOCKET_FOLDER = 80
LOOK_SECONDS = 0.05


class HomeInUse(CannotStart):
    """Another `helix up` runs on this home."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of a home."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> "Home":
        """The home at this path, with its folders made; private to the user."""
        home = cls(path.expanduser().resolve())
        # Root's servers have an account of their own, which must pass (but can't look around) to reach its folders.
        passage = 0o711 if os.geteuid() == 0 else 0o700
        for folder, mode in ((home.path, passage), (home.run, passage), (home.logs, 0o700), (home.objects, 0o700)):
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
        return home

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def postgres_data(self) -> Path:
        return self.path / "postgres"

    @property
    def rabbitmq(self) -> Path:
        return self.path / "rabbitmq"

    @property
    def state_file(self) -> Path:
        return self.run / "stack.json"

    @property
    def children_file(self) -> Path:
        return self.run / "children.json"

    def socket_folder(self, server: str) -> Path:
        """Where a server's socket is: in the home, or, when that path can't be a socket's, in a short one.

        Raises CannotStart when somebody else could get into it.
        """
        folder = self.run / server
        # To PostgreSQL's clients, a comma parts two hosts.
        if len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER or "," in str(folder):
            name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
            folder = Path(tempfile.gettempdir()) / f"helixnet-{os.geteuid()}-{name}-{server}"
        folder.mkdir(mode=0o700, exist_ok=True)
        account = server_account(self.postgres_data)
        found = folder.lstat()
        ours = found.st_uid in (os.geteuid(), account.uid if account else os.geteuid())
        if not (ours and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077):
            raise CannotStart(f"{folder} is open to others, or is theirs: remove it")
        return folder

    def secret_key(self) -> str:
        """The key that signs access tokens: made once, kept in a file for the user alone."""
        return self.secret("secret_key")

    def secret(self, name: str) -> str:
        """A random secret: made once, kept in a file of this name for the user alone."""
        file = self.path / name
        if not file.exists():
            # Whole or not at all: a key that was cut short would never be made again.
            write_private(file, secrets.token_urlsafe(48).encode())
        return file.read_text()

    @contextmanager
    def lock(self, wait_seconds: float = 0) -> Iterator[None]:
        """Own the home while the block runs; raises HomeInUse.

        Waits up to `wait_seconds` for a command that uses the home for a moment, but not for a stack that is up. The
        lock dies with its process, however that ends.
        """
        limit = time.monotonic() + wait_seconds
        with (self.run / "lock").open("a") as file:
            while not _locked(file.fileno()):
                if time.monotonic() >= limit or self.read_state() is not None:
                    raise HomeInUse(f"HelixNet runs already on {self.path}")
                time.sleep(LOOK_SECONDS)
            yield

    def wait_until_free(self, seconds: float) -> None:
        """Wait until nobody owns the home; raises HomeInUse after so many seconds."""
        limit = time.monotonic() + seconds
        with (self.run / "lock").open("a") as file:
            while not _locked(file.fileno()):
                if time.monotonic() >= limit:
                    raise HomeInUse(f"HelixNet runs on {self.path} still")
                time.sleep(LOOK_SECONDS)

    def write_state(self, environment: dict[str, str], url: str) -> None:
        """Let other commands find the stack that this process runs, and where it serves."""
        state = {"pid": os.getpid(), "birth": guard.birth(os.getpid()), "environment": environment, "url": url}
        write_private(self.state_file, orjson.dumps(state))

    def read_state(self) -> dict[str, str] | None:
        """The environment of the stack that runs on this home, or None."""
        environment: dict[str, str] | None = self._running().get("environment")
        return environment

    def url(self) -> str | None:
        """Where the stack that runs on this home serves, or None."""
        url: str | None = self._running().get("url")
        return url

    def _running(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = orjson.loads(self.state_file.read_bytes())
        except FileNotFoundError:
            return {}
        return state if state.get("birth") == (guard.birth(state["pid"]) or "gone") else {}

    def clear_state(self) -> None:
        self.state_file.unlink(missing_ok=True)


def write_private(file: Path, content: bytes) -> None:
    """Write a file for the user alone, whole or not at all."""
    new = file.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(content)
    new.replace(file)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
