"""The home of an embedded stack: one folder with its data, secrets, logs, and the state of what runs."""

import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from helixnet.errors import CannotStart

# A unix socket's address has 108 bytes (Linux) or 104 (macOS), and the servers add names of their own.
LONGEST_SOCKET_FOLDER = 80


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
        for folder in (home.path, home.run, home.logs, home.objects):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    def state_file(self) -> Path:
        return self.run / "stack.json"

    def socket_folder(self, server: str) -> Path:
        """Where a server's socket is: in the home, or, when that path is too long for a socket, in a short one."""
        folder = self.run / server
        if len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER:
            name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
            folder = Path(tempfile.gettempdir()) / f"helixnet-{os.getuid()}-{name}-{server}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or (folder.stat().st_mode & 0o077):
            raise CannotStart(f"{folder} is open to others: remove it")
        return folder

    def secret_key(self) -> str:
        """The key that signs access tokens: made once, kept in a file for the user alone."""
        file = self.path / "secret_key"
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return file.read_text()
        with os.fdopen(handle, "w") as opened:
            opened.write(secrets.token_urlsafe(48))
        return file.read_text()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the home while the block runs; raises HomeInUse. The lock dies with its process, however that ends."""
        with (self.run / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HomeInUse(f"HelixNet runs already on {self.path}") from None
            yield

    def write_state(self, environment: dict[str, str]) -> None:
        """Let other commands find the stack that this process runs."""
        new = self.state_file.with_suffix(".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps({"pid": os.getpid(), "began": _began(os.getpid()), "environment": environment}))
        new.rename(self.state_file)

    def read_state(self) -> dict[str, str] | None:
        """The environment of the stack that runs on this home, or None."""
        try:
            state = orjson.loads(self.state_file.read_bytes())
        except FileNotFoundError:
            return None
        environment: dict[str, str] = state["environment"]
        return environment if state["began"] == _began(state["pid"]) else None

    def clear_state(self) -> None:
        self.state_file.unlink(missing_ok=True)


def _began(pid: int) -> float | None:
    """When a process began, which tells it from a later one with the same number; None when there is none."""
    try:
        began: float = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
    return began
