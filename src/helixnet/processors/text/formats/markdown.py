"""The text of Markdown without its signs, by markdown-it-py."""

from typing import Any

LARGEST = 2 * 1024 * 1024
"""Characters that are parsed at once; longer Markdown is read as the plain text that it is, too."""


def plain(markdown: str) -> str:
    """The words of CommonMark with tables: blocks parted by blank lines, links by their words, code as it is."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    blocks: list[str] = []
    row: list[str] | None = None
    for token in parser.parse(markdown):
        match token.type:
            case "tr_open":
                row = []
            case "tr_close" if row is not None:
                blocks.append("\t".join(row))
                row = None
            case "inline":
                (blocks if row is None else row).append(_inline(token.children or []))
            case "fence" | "code_block":
                blocks.append(token.content.rstrip("\n"))
    return "\n\n".join(block for block in blocks if block.strip()) + "\n"


def _inline(tokens: list[Any]) -> str:
    text = ""
    for token in tokens:
        match token.type:
            case "text" | "code_inline":
                text += token.content
            case "image":
                text += _inline(token.children or [])
            case "softbreak" | "hardbreak":
                text += "\n"
    return text
