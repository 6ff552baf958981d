"""An SVG in the making: shapes with classes, and the one style sheet that colours them, light or dark."""

from collections.abc import Sequence
from html import escape

WIDTH = 760
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 }
.background { fill: #ffffff } .grid { stroke: #d0d7de } .faint { fill: #57606a } .end { text-anchor: end }
.middle { text-anchor: middle } .line { fill: none; stroke-width: 2 }
.bar0, .dot0 { fill: #0969da } .bar1, .dot1 { fill: #bc4c00 } .bar2, .dot2 { fill: #1a7f37 }
.bar3, .dot3 { fill: #8250df }
.line0 { stroke: #0969da } .line1 { stroke: #bc4c00 } .line2 { stroke: #1a7f37 } .line3 { stroke: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .background { fill: #0d1117 } .grid { stroke: #30363d } .faint { fill: #8d96a0 }
.bar0, .dot0 { fill: #58a6ff } .bar1, .dot1 { fill: #f0883e } .bar2, .dot2 { fill: #3fb950 }
.bar3, .dot3 { fill: #bc8cff }
.line0 { stroke: #58a6ff } .line1 { stroke: #f0883e } .line2 { stroke: #3fb950 } .line3 { stroke: #bc8cff } }
"""
COLOURS = 4


class Drawing:
    """Shapes in pixels, from the top left corner."""

    def __init__(self, title: str, height: float) -> None:
        self._title = title
        self._height = height
        self._shapes: list[str] = []

    def rect(self, left: float, top: float, width: float, height: float, kind: str) -> None:
        self._shapes.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"/>'
        )

    def line(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """A line of the grid."""
        (x1, y1), (x2, y2) = start, stop
        self._shapes.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid"/>')

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._shapes.append(f'<polyline points="{joined}" class="line {kind}"/>')

    def dot(self, x: float, y: float, kind: str) -> None:
        self._shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="{kind}"/>')

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        self._shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>')

    def svg(self) -> str:
        """The text of the SVG."""
        title = escape(self._title)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height:.0f}" role="img">'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n"
            f'<rect width="{WIDTH}" height="{self._height:.0f}" class="background"/>\n'
            f'<text x="16" y="26" class="title">{title}</text>\n' + "\n".join(self._shapes) + "\n</svg>\n"
        )
