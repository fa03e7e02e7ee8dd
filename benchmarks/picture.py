"""The report as a picture: a small SVG with a bar for every contestant of a section, on light and dark pages alike."""

from collections.abc import Iterator
from html import escape

from benchmarks.figures import LESS, Section, Series

WIDTH = 960
LABELS = 400
VALUES = 110
BAR = WIDTH - LABELS - VALUES
ROW = 22
HEAD = 40
TOP = 70

STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1c2024; }
    .title { font-size: 20px; font-weight: 600; }
    .section { font-size: 15px; font-weight: 600; }
    .faint { fill: #60646c; font-size: 12px; }
    .ground { fill: #ffffff; }
    .bar { fill: #b9bbc6; }
    .ours { fill: #3e63dd; }
    .spread { stroke: #1c2024; stroke-width: 1; opacity: .55; }
    @media (prefers-color-scheme: dark) {
      text { fill: #edeef0; }
      .faint { fill: #b0b4ba; }
      .ground { fill: #111113; }
      .bar { fill: #5a6169; }
      .ours { fill: #5c7cfa; }
      .spread { stroke: #edeef0; }
    }
"""


def draw(sections: list[Section], machine: dict[str, str]) -> str:
    """An SVG of all sections that have figures."""
    body: list[str] = []
    y = TOP
    for section in sections:
        measured = [series for series in section.series if series.values]
        if not measured:
            continue
        direction = "less is better" if section.better == LESS else "more is better"
        body.append(_text(16, y + 18, section.title, "section"))
        body.append(_text(WIDTH - 16, y + 18, f"{measured[0].unit}, {direction}", "faint", "end"))
        y += 30
        most = max(max(series.values) for series in measured) or 1
        for series in measured:
            body.extend(_row(series, y, most))
            y += ROW
        y += HEAD - 22
    about = f"{machine.get('processor', '')}, {machine.get('cores', '?')} cores; PostgreSQL {machine.get('postgresql')}"
    head = [
        _text(16, 32, "HelixNet and its floors", "title"),
        _text(16, 52, f"Medians with lowest and highest run. {about}; {machine.get('measured at', '')}", "faint"),
    ]
    size = f'width="{WIDTH}" height="{y}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" {size} role="img">',
            "<title>HelixNet and its floors</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" {size}/>',
            *head,
            *body,
            "</svg>\n",
        ]
    )


def _row(series: Series, y: int, most: float) -> Iterator[str]:
    middle = series.median or 0
    low, high = (LABELS + BAR * max(0, value) / most for value in (min(series.values), max(series.values)))
    kind = "bar ours" if series.key.startswith("helixnet") else "bar"
    yield _text(LABELS - 8, y + 14, series.title, "", "end")
    width = max(1, BAR * max(0, middle) / most)
    yield f'<rect class="{kind}" x="{LABELS}" y="{y + 3}" width="{width:.1f}" height="15" rx="2"/>'
    if high - low >= 1:
        yield f'<path class="spread" d="M{low:.1f} {y + 10.5}H{high:.1f}M{low:.1f} {y + 7}v7M{high:.1f} {y + 7}v7"/>'
    value = f"{middle:,.0f}" if abs(middle) >= 100 else f"{middle:.3g}"
    yield _text(WIDTH - 16, y + 14, value, "", "end")


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
