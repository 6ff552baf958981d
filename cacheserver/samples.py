"""What a metric is here: plain values, which api/telemetry/metrics.py exports. Names: `rowbox_`, base units."""

from typing import Literal

Kind = Literal["counter", "gauge"]
Sample = tuple[str, Kind, str, dict[str, str], float]
"""The metric's name, its kind, its help, its labels, its value now."""
