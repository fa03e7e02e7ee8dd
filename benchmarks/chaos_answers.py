"""What must come out of each job: worked out beforehand, or from what is known of its processor, never from the run."""

import hashlib
import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helixnet import local
from helixnet.processors.text import ANALYZE

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
COMPLETED = frozenset({"COMPLETED"})


@dataclass(frozen=True, slots=True)
class Right:
    """How a job has to end: in one of `states`, and when COMPLETED with this answer.

    `stored` is the SHA-256 of the answer's bytes as an object, `value` that of the value, however it is written.
    """

    states: frozenset[str]
    stored: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """Two files to upload, and the right analysis of them."""

    content: bytes
    context: bytes
    right: Right


def right_json(answer: Any, states: frozenset[str] = COMPLETED) -> Right:
    """The right end of a job whose answer is this JSON value."""
    return right_bytes(json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode(), states)


def right_bytes(answer: bytes, states: frozenset[str] = COMPLETED) -> Right:
    """The right end of a job whose answer is this JSON text."""
    return Right(states, hashlib.sha256(answer).hexdigest(), value_sha256(json.loads(answer)))


def value_sha256(value: Any) -> str:
    """The SHA-256 of a JSON value, independent of spaces and of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def documents(number: int, rng: random.Random) -> list[Document]:
    """Texts of several sizes, cut from the example, each analysed here by the processor itself."""
    paragraphs = (EXAMPLES / "content_file.txt").read_text().split("\n\n")
    questions = (EXAMPLES / "context_file.txt").read_text().splitlines()
    made = []
    for _ in range(number):
        chosen = [rng.choice(paragraphs) for _ in range(rng.choice((3, 10, 40, 300)))]
        content = "\n\n".join(chosen).encode()
        context = "\n".join(rng.sample(questions, min(3, len(questions)))).encode()
        made.append(Document(content, context, right_bytes(_analysed(content, context))))
    return made


def _analysed(content: bytes, context: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="helix-right-") as folder:
        files = {"content_key": Path(folder, "content.txt"), "context_key": Path(folder, "context.txt")}
        files["content_key"].write_bytes(content)
        files["context_key"].write_bytes(context)
        done = local.run(ANALYZE, files, out=Path(folder, "out"))
    assert done.error is None, done.error
    return json.dumps(done.result, separators=(",", ":"), ensure_ascii=False).encode()
