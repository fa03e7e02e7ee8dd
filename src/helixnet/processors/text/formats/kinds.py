"""What a file is, told by how it begins, its name and its media type."""

import re
from typing import Literal

Format = Literal["text", "markdown", "html", "pdf", "docx"]

PDF_HEAD = 1024
"""The header of a PDF may come after up to so many other bytes (ISO 32000-1, annex H.3.4.1)."""
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<!--.*?-->|<\?xml[^>]*>)*<(?:!doctype\s+html|html|head|body)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_HTML_NAMES, _MARKDOWN_NAMES = (".html", ".htm", ".xhtml"), (".md", ".markdown", ".mdown")


def kind_of(head: bytes, filename: str, media_type: str) -> Format:
    """The format of a file that begins with `head`; what is none of the others is to be read as text."""
    name, media_type = filename.lower(), media_type.partition(";")[0].strip().lower()
    if b"%PDF-" in head[:PDF_HEAD] and (head.startswith(b"%PDF-") or name.endswith(".pdf")):
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return "docx" if name.endswith(".docx") or b"word/" in head or b"[Content_Types].xml" in head else "text"
    if name.endswith(_HTML_NAMES) or media_type in ("text/html", "application/xhtml+xml") or _HTML.match(head[:4096]):
        return "html"
    return "markdown" if name.endswith(_MARKDOWN_NAMES) or media_type == "text/markdown" else "text"
