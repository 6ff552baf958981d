"""Pictures of a run: SVG by hand, which a browser shows in its light or dark colours and a diff can be read of."""

from bench.pictures.bars import Bar, bars
from bench.pictures.lines import Series, lines

__all__ = ["Bar", "Series", "bars", "lines"]
