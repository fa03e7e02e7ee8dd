"""Markdown made into a PDF, by Typst.

The document that Typst compiles is written here: all of the report's own text is in string literals, so none of it is
markup or code to Typst. Images are named and not loaded; links are kept where they lead to the web or to a mailbox.
"""

import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from helixnet.processors.base import Reject
from helixnet.processors.document.pages import check_length, parser

_HEAD = """#set document(title: {title})
#set page(paper: "a4", margin: (x: 2.2cm, y: 2.4cm), numbering: "1 / 1", footer-descent: 40%)
#set text(font: "Libertinus Serif", size: 10.5pt)
#set par(justify: false, leading: 0.62em)
#let rule(y) = if y == 0 {{ 1pt + luma(120) }} else {{ 0.4pt + luma(200) }}
#set table(inset: (x: 6pt, y: 4.5pt), stroke: (_, y) => (bottom: rule(y)))
#show table: set text(size: 9pt)
#show table.cell.where(y: 0): strong
#show heading: set block(above: 1.4em, below: 0.8em)
#show link: set text(fill: rgb("#1a5fb4"))
#show raw: set text(font: "DejaVu Sans Mono", size: 8.5pt)
"""
_LINKS = ("https://", "http://", "mailto:")
# Beyond what the fonts in Typst draw: Latin, Greek, Cyrillic, punctuation, arrows, mathematics.
_NOT_DRAWN = re.compile(
    "[\u0530-\u1cff\u2e80-\ua63f\ua6a0-\ua71f\ua840-\ufaff\ufe30-\ufeff\uff66-\uffdc\U00010000-\U0003ffff]"
)
_PLAIN = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": " ", "\t": "\\t"}
    | {chr(code): "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), 127)}
)


def check_installed() -> None:
    """Raise Reject where the extra is not installed."""
    if find_spec("typst") is None:
        raise Reject("PDF can't be made here: helixnet[pdf] is not installed. Leave out `pdf`, or ask the operator.")


def to_pdf(markdown: str, title: str, folder: Path) -> bytes:
    """The report as a PDF on A4; `folder` is an empty one, all that Typst may look into. Raises OverLimit."""
    check_length(markdown)
    os.environ["RAYON_NUM_THREADS"] = "1"  # Typst starts a thread for each core otherwise
    import typst
    from markdown_it.tree import SyntaxTreeNode

    body = _Writer().blocks(SyntaxTreeNode(parser().parse(markdown)).children)
    source = _HEAD.format(title=_text(title)) + body
    compiler = typst.Compiler(source.encode(), root=str(folder), ignore_system_fonts=True)
    made = compiler.compile(format="pdf")
    if not isinstance(made, bytes):
        raise TypeError("Typst answered with no PDF")
    return made


def undrawn(markdown: str) -> bool:
    """Whether the report has signs that the fonts in Typst do not draw, such as Chinese ones."""
    return _NOT_DRAWN.search(markdown) is not None


def _text(text: str) -> str:
    return f'"{text.translate(_PLAIN)}"'


class _Writer:
    """Writes the tree of a Markdown document as Typst; by its type each node has a method, or is its children."""

    def blocks(self, nodes: list[Any]) -> str:
        return "\n\n".join(self._write(node) for node in nodes)

    def inline(self, nodes: list[Any]) -> str:
        return "".join(self._write(node) for node in nodes)

    def _write(self, node: Any) -> str:
        method: Callable[[Any], str] | None = getattr(self, f"_{node.type}", None)
        return method(node) if method is not None else self.inline(node.children)

    def _text(self, node: Any) -> str:
        return f"#{_text(node.content)};"

    def _softbreak(self, _node: Any) -> str:
        return '#" ";'

    def _hardbreak(self, _node: Any) -> str:
        return "#linebreak();"

    def _hr(self, _node: Any) -> str:
        return "#line(length: 100%, stroke: 0.5pt + luma(160));"

    def _heading(self, node: Any) -> str:
        return f"#heading(level: {node.tag[1:]})[{self.inline(node.children)}];"

    def _strong(self, node: Any) -> str:
        return f"#strong[{self.inline(node.children)}];"

    def _em(self, node: Any) -> str:
        return f"#emph[{self.inline(node.children)}];"

    def _s(self, node: Any) -> str:
        return f"#strike[{self.inline(node.children)}];"

    def _code_inline(self, node: Any) -> str:
        return f"#raw({_text(node.content)});"

    def _code_block(self, node: Any) -> str:
        return f"#raw({_text(node.content.rstrip())}, block: true);"

    _fence = _code_block

    def _blockquote(self, node: Any) -> str:
        return f"#quote(block: true)[{self.blocks(node.children)}];"

    def _bullet_list(self, node: Any) -> str:
        return f"#list({self._items(node)});"

    def _ordered_list(self, node: Any) -> str:
        return f"#enum(start: {int(node.attrs.get('start', 1))}, {self._items(node)});"

    def _items(self, node: Any) -> str:
        return ", ".join(f"[{self.blocks(item.children)}]" for item in node.children)

    def _link(self, node: Any) -> str:
        target, words = str(node.attrs.get("href", "")), self.inline(node.children)
        return f"#link({_text(target)})[{words}];" if target.startswith(_LINKS) else words

    def _image(self, node: Any) -> str:
        return f"#emph[#{_text(f'[image: {node.content}]')};];"

    def _table(self, node: Any) -> str:
        head, *bodies = node.children
        (titles,) = head.children
        sides = ", ".join(
            "right" if "right" in str(cell.attrs.get("style", "")) else "left" for cell in titles.children
        )
        cells = [self._cells(row) for body in bodies for row in body.children]
        rows = ", ".join((f"table.header({self._cells(titles)})", *cells))
        return f"#table(columns: {len(titles.children)}, align: ({sides},), {rows});"

    def _cells(self, row: Any) -> str:
        return ", ".join(f"[{self.inline(cell.children)}]" for cell in row.children)
