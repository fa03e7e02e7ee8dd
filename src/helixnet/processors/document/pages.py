"""Markdown made into a page of HTML."""

from html import escape
from typing import Any

from helixnet.processors.base import OverLimit

LONGEST_MARKDOWN = 2 * 1024 * 1024
"""Characters that are parsed: each takes fifty bytes of memory and more."""

# The page loads nothing, whatever its text names.
_PAGE = """<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #d5dae1; text-align: left; }}
th {{ border-bottom: 2px solid #8a94a3; }}
code, pre {{ font-family: ui-monospace, monospace; background: #f3f5f8; }}
pre {{ padding: .7rem; overflow-x: auto; }}
blockquote {{ margin-left: 0; padding-left: 1rem; border-left: 3px solid #d5dae1; color: #4a5564; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def parser() -> Any:
    """A Markdown parser: CommonMark with tables and strikethrough, raw HTML shown as text."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def to_page(markdown: str, title: str) -> str:
    """A whole page; raises OverLimit for over two million characters."""
    check_length(markdown)
    return _PAGE.format(title=escape(title), body=parser().render(markdown))


def check_length(markdown: str) -> None:
    """Raise OverLimit for Markdown that is too long to be made into something else."""
    if len(markdown) > LONGEST_MARKDOWN:
        raise OverLimit(
            f"The report has {len(markdown):,} characters of Markdown; at most {LONGEST_MARKDOWN:,} can be made into "
            "HTML or PDF. Ask for Markdown, or show less."
        )
