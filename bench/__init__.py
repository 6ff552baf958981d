"""Measurements, run by hand: `make bench`. Nothing imports this package, and no test depends on its numbers."""
