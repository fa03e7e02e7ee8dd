"""The text of HTML that comes in pieces, by Python's own parser: no tree is made, so no page is too deep."""

from html.parser import HTMLParser

from helixnet.processors.base import OverLimit
from helixnet.processors.text.formats.bounds import Bounds

MOST_TAGS = 1_000_000
LONGEST_TAG = 1024 * 1024
"""Characters of one tag or comment, which are kept until it ends."""

_SKIPPED = frozenset({"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select"})
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir", "div",
    "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head",
    "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "option", "p", "pre", "search",
    "section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul",
})  # fmt: skip


class HtmlText(HTMLParser):
    """Feed it pieces of a page, and take the text that they make: blocks are parted by blank lines, white space is as
    a browser shows it, scripts, styles and what else is not read is left out. Raises OverLimit."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(convert_charrefs=True)
        self._bounds = bounds
        self._pieces: list[str] = []
        self._tags = 0
        self._skipped = ""
        self._preformatted = 0
        self._space = False
        self._at_start = True

    def text_of(self, piece: str) -> str:
        """The text that a further piece brings."""
        self.feed(piece)
        self._bounds.look()
        if len(self.rawdata) > LONGEST_TAG:
            raise OverLimit(f"The page has a tag or a comment of over {LONGEST_TAG:,} characters.")
        return self._taken()

    def rest(self) -> str:
        """The text that was held back until it was known that nothing follows."""
        self.close()
        return self._taken()

    def _taken(self) -> str:
        text = "".join(self._pieces)
        self._pieces.clear()
        return self._bounds.take(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's own
        self._count()
        if self._skipped:
            return
        if tag in _SKIPPED:
            self._skipped = tag
        elif tag == "br":
            self._break("\n")
        elif tag in ("td", "th"):
            self._space = True
        elif tag in _BLOCKS:
            self._break("\n\n")
        self._preformatted += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # In HTML the slash says nothing; in the elements of other languages it ends them.
        self.handle_starttag(tag, attrs)
        if tag == self._skipped:
            self._skipped = ""

    def handle_endtag(self, tag: str) -> None:
        self._count()
        if self._skipped:
            if tag in (self._skipped, "body"):
                self._skipped = ""
            return
        if tag in _BLOCKS:
            self._break("\n\n")
        if tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        if self._preformatted:
            self._pieces.append(data)
            self._at_start = False
            return
        words = data.split()
        if not words:
            self._space = True
            return
        if (self._space or data[0].isspace()) and not self._at_start:
            self._pieces.append(" ")
        self._pieces.append(" ".join(words))
        self._space = data[-1].isspace()
        self._at_start = False

    def _break(self, mark: str) -> None:
        if not self._at_start:
            self._pieces.append(mark)
            self._at_start = True
        self._space = False

    def _count(self) -> None:
        self._tags += 1
        if self._tags > MOST_TAGS:
            raise OverLimit(f"The page has over {MOST_TAGS:,} tags.")
        if self._tags % 1000 == 0:
            self._bounds.look()
