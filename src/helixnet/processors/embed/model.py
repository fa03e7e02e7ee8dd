"""The vectors: WordLlama's static embeddings, whose weights come in its wheel. Nothing is ever fetched.

A text's vector is the mean of the vectors of its tokens, which were trained for search out of the input vectors of
large language models (WordLlama, D. L. Miller). Order and context of words do not count.
"""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helixnet.processors.base import UpstreamFailed

NAME = "wordllama/l2_supercat_256"
BATCH = 16
"""Texts at a time: at most 2,000 characters of three tokens each, of 1 KiB, are 100 MB."""
MISSING = (
    "embed.search can't run here: the worker lacks the packages that it needs. Whoever runs HelixNet can add them "
    "with `pip install 'helixnet[embed]'` where the workers run."
)


class Model:
    """Vectors of unit length for texts; raises UpstreamFailed where the extra `embed` is not installed."""

    def __init__(self) -> None:
        # Work is for one core, and threads would take address space, which is limited.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            import numpy as np
            import wordllama
        except ImportError as error:
            raise UpstreamFailed(MISSING, missing=error.name or str(error)) from error
        self._numpy = np
        weights = Path(wordllama.__file__).parent
        self._vectors = wordllama.WordLlama.load(cache_dir=weights, disable_download=True)
        self.version = version("wordllama")
        self.dimensions = int(self._vectors.embedding.shape[1])

    def embed(self, texts: list[str]) -> Any:
        """A float32 matrix with a row for each text; all zeros for one that no token is known of."""
        numpy = self._numpy
        found = self._vectors.embed(texts, batch_size=BATCH)
        lengths = numpy.linalg.norm(found, axis=1, keepdims=True)
        return numpy.divide(found, lengths, out=numpy.zeros_like(found), where=lengths > 0)
