"""The text of a PDF, page by page, by pypdf: it is slower than libraries in C, and can't be made to write where it
should not."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helixnet.processors.base import OverLimit, Reject
from helixnet.processors.text.formats.bounds import Bounds

MOST_PAGES = 10_000
LONGEST_WORDS = 200
LOCKED = "The PDF is locked by a password. Save it without one first."


def pages(path: Path, bounds: Bounds) -> Iterator[tuple[int, int, str]]:
    """(page, of how many, text) of each page of a PDF, counted from 1.

    pypdf bounds what a stream inflates to, how much of it is parsed, and how deep it is; see its `Configuration`.
    Raises Reject for one that is damaged or locked, and OverLimit for one that is made to be endless.
    """
    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError, LimitReachedError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it mends is no matter of the operator's log
    try:
        with path.open("rb") as file:
            reader = PdfReader(file)
            count = _count(reader)
            for number in range(count):
                bounds.look()
                text = reader.pages[number].extract_text(visitor_operand_before=lambda *_: bounds.look())
                yield number + 1, count, bounds.take(text)
    except (Reject, MemoryError):
        raise
    except FileNotDecryptedError as error:
        raise Reject(LOCKED) from error
    except LimitReachedError as error:
        raise OverLimit(f"The PDF asks for more than it may: {_words(error)}") from error
    except RecursionError as error:
        raise Reject("The PDF is damaged, or made to be endless: a part of it holds itself.") from error
    except Exception as error:
        raise Reject(f"The PDF is damaged, or not a PDF: {_words(error)}") from error


def _count(reader: Any) -> int:
    """The number of pages of a PDF that is open to all."""
    if reader.is_encrypted and not reader.decrypt(""):
        raise Reject(LOCKED)
    count = len(reader.pages)
    if count > MOST_PAGES:
        raise OverLimit(f"The PDF has {count:,} pages; at most {MOST_PAGES:,} can be read.")
    return count


def _words(error: Any) -> str:
    words = str(error).strip()[:LONGEST_WORDS] or type(error).__name__
    return words if words.endswith(".") else f"{words}."
