"""Lines over an axis of numbers, which is linear or by powers of ten. The vertical axis is linear and begins at 0."""

from collections.abc import Callable, Sequence
from math import log10
from typing import NamedTuple

from bench.pictures.drawing import COLOURS, WIDTH, Drawing

_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 60, 24, 66, 44, 320
_STEPS = (1, 2, 2.5, 5, 10)
_MOST_DOTS = 20
_LEGEND = 180


class Series(NamedTuple):
    """One line: (x, y) by ascending x. Few points are marked with dots."""

    label: str
    points: Sequence[tuple[float, float]]


def lines(title: str, x_unit: str, y_unit: str, shown: Sequence[Series], *, logarithmic: bool = False) -> str:
    """An SVG of all lines in one scale."""
    drawing = Drawing(title, _HEIGHT)
    xs = [x for series in shown for x, _ in series.points]
    y_ticks = ticks(max((y for series in shown for _, y in series.points), default=1.0))
    x_ticks = powers(min(xs, default=1), max(xs, default=1)) if logarithmic else ticks(max(xs, default=1.0))
    place: Callable[[float], float] = log10 if logarithmic else float
    first, last = place(x_ticks[0]), place(x_ticks[-1])

    def x_of(value: float) -> float:
        return _LEFT + (place(value) - first) / ((last - first) or 1) * (WIDTH - _LEFT - _RIGHT)

    def y_of(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / y_ticks[-1] * (_HEIGHT - _BOTTOM - _TOP)

    for value in y_ticks:
        drawing.line((_LEFT, y_of(value)), (WIDTH - _RIGHT, y_of(value)))
        drawing.text(_LEFT - 8, y_of(value) + 4, f"{value:,g}", "end")
    for value in x_ticks:
        drawing.text(x_of(value), _HEIGHT - _BOTTOM + 18, f"{value:,.10g}", "middle faint")
    drawing.text(_LEFT, _TOP - 6, y_unit, "faint")
    drawing.text(WIDTH - _RIGHT, _HEIGHT - 8, x_unit, "end faint")
    for number, series in enumerate(shown):
        colour = number % COLOURS
        drawing.rect(_LEFT + number * _LEGEND, 38, 10, 10, f"bar{colour}")
        drawing.text(_LEFT + number * _LEGEND + 16, 47, series.label)
        drawing.path([(x_of(x), y_of(y)) for x, y in series.points], f"line{colour}")
        if len(series.points) <= _MOST_DOTS:
            for x, y in series.points:
                drawing.dot(x_of(x), y_of(y), f"dot{colour}")
    return drawing.svg()


def ticks(most: float) -> list[float]:
    """Round numbers from 0 up to `most`, or up to the next round number above it."""
    if most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** int(log10(most / 5) // 1)
    step = next(power * factor for factor in _STEPS if power * factor * 5 >= most)
    return [step * number for number in range(int(-(-most // step)) + 1)]


def powers(least: float, most: float) -> list[float]:
    """Powers of ten, of which the outer ones hold `least` and `most` between them."""
    first, last = int(log10(least) // 1), int(-(-log10(most) // 1))
    return [10.0**number for number in range(first, max(last, first + 1) + 1)]
