"""Pictures of a run, as SVG without a library: it has light and dark colours, and its diffs are readable."""

from bench.pictures.bars import Bar, bars
from bench.pictures.lines import Series, lines

__all__ = ["Bar", "Series", "bars", "lines"]
