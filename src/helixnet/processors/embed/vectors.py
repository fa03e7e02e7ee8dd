"""All vectors and their passages as files: a NumPy array, and a table with a line for each of its rows."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from helixnet.processors.context import BlockingContext
from helixnet.processors.embed.chunking import Chunk

PIECE_BYTES = 1024 * 1024


class VectorFiles:
    """Gathers rows in the scratch folder; `write` stores them as artifacts."""

    def __init__(self, scratch: Path, dimensions: int) -> None:
        self._rows = scratch / "rows"
        self._table = scratch / "chunks.ndjson"
        self._dimensions = dimensions
        self._count = 0

    def add(self, chunks: list[Chunk], vectors: Any) -> None:
        """Keep passages with their vectors, in order."""
        with self._rows.open("ab") as rows, self._table.open("ab") as table:
            rows.write(vectors.astype("<f4").tobytes())
            for row, chunk in enumerate(chunks, start=self._count):
                table.write(orjson.dumps({"row": row, "start": chunk.start, "end": chunk.end}) + b"\n")
        self._count += len(chunks)

    def write(self, context: BlockingContext) -> None:
        """Store both as artifacts of the job."""
        context.write("embeddings.npy", self._array(), "application/x-npy")
        context.write("chunks.ndjson", self._table, "application/x-ndjson")

    def _array(self) -> Iterator[bytes]:
        from numpy.lib import format as npy

        header = io.BytesIO()
        npy.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (self._count, self._dimensions)}
        )
        yield header.getvalue()
        with self._rows.open("rb") as rows:
            while piece := rows.read(PIECE_BYTES):
                yield piece
