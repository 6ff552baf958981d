"""Horizontal bars in groups."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.pictures.drawing import COLOURS, WIDTH, Drawing

_LEFT, _RIGHT, _TOP = 170, 90, 44
_BAR, _GAP = 18, 14


class Bar(NamedTuple):
    """A bar. `label` stands before it and decides its colour."""

    group: str
    label: str
    value: float


def bars(title: str, unit: str, shown: Sequence[Bar]) -> str:
    """An SVG of all bars, group by group, in one scale from 0."""
    groups = list(dict.fromkeys(bar.group for bar in shown))
    labels = list(dict.fromkeys(bar.label for bar in shown))
    height = _TOP + len(groups) * (_GAP + _BAR) + len(shown) * _BAR + 20
    drawing = Drawing(f"{title} ({unit})", height)
    scale = (WIDTH - _LEFT - _RIGHT) / max((bar.value for bar in shown), default=1)
    y = float(_TOP)
    for group in groups:
        drawing.text(16, y + 13, group, "faint")
        y += _BAR
        for bar in shown:
            if bar.group == group:
                drawing.text(_LEFT - 8, y + 13, bar.label, "end")
                drawing.rect(_LEFT, y + 2, bar.value * scale, _BAR - 4, f"bar{labels.index(bar.label) % COLOURS}")
                drawing.text(_LEFT + bar.value * scale + 6, y + 13, f"{bar.value:,.0f}", "faint")
                y += _BAR
        y += _GAP
    return drawing.svg()
