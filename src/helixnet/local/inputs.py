"""Files of this machine as a processor reads its inputs."""

import hashlib
import mimetypes
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from helixnet.errors import Invalid
from helixnet.processors.base import UNKNOWN_MEDIA_TYPE, Reject
from helixnet.worker.files import content_of


@dataclass(frozen=True, slots=True)
class LocalInput:
    """An `Input` that is a file of this machine."""

    key: str
    filename: str
    size: int
    media_type: str
    sha256: str
    stands_at: Path

    @classmethod
    def open(cls, role: str, path: Path) -> Self:
        """The file under this role, its media type guessed by its name as for an upload; it is read once, for its hash.

        Raises Invalid when it is no file, and OSError when it can't be read.
        """
        if not path.is_file():
            raise Invalid(f"{role}: {path} is not a file." if path.exists() else f"{role}: there is no file {path}.")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        media_type = mimetypes.guess_type(path.name)[0] or UNKNOWN_MEDIA_TYPE
        key = f"local/inputs/{role}/{path.name}"
        return cls(key, path.name, path.stat().st_size, media_type, sha256, path.resolve())

    async def read(self, limit: int) -> bytes:
        if self.size > limit:
            raise Reject(f"{self.filename} has {self.size} bytes; at most {limit} can be processed.")
        return b"".join([piece async for piece in self.stream()])

    def stream(self) -> AsyncIterator[bytes]:
        return content_of(self.stands_at)

    async def path(self) -> Path:
        return self.stands_at
