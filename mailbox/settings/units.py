"""Reads and writes sizes and durations as people write them ("64KiB", "7d").

In code a size is a whole number of bytes and a duration a whole number of milliseconds. A value is written in the
largest unit that divides it, so that nothing is ever rounded.
"""

from collections.abc import Mapping

_SIZES: Mapping[str, int] = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATIONS_MS: Mapping[str, int] = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_size_bytes(text: str) -> int:
    """The bytes that "256MiB", "64KiB" or a bare "65536" mean. ValueError for anything else.

    "MB" is refused: people mean 10^6 by it or 2^20, and a limit must not depend on which.
    """
    return _parse(text, _SIZES, "B")


def parse_duration_ms(text: str) -> int:
    """The milliseconds that "7d", "1h", "5m", "30s", "250ms" or a bare "250" mean. ValueError for anything else."""
    return _parse(text, _DURATIONS_MS, "ms")


def format_size(size_bytes: int) -> str:
    """The shortest text that `parse_size_bytes` reads as `size_bytes`."""
    return _format(size_bytes, _SIZES)


def format_duration(duration_ms: int) -> str:
    """The shortest text that `parse_duration_ms` reads as `duration_ms`."""
    return _format(duration_ms, _DURATIONS_MS)


def _parse(text: str, units: Mapping[str, int], bare_unit: str) -> int:
    digits = text.rstrip("".join(units))
    unit = text[len(digits) :] or bare_unit
    digits = digits.rstrip(" ")
    if unit not in units or not (digits.isascii() and digits.isdecimal()):
        msg = f"{text!r} is not a whole number followed by one of {', '.join(units)}"
        raise ValueError(msg)
    return int(digits) * units[unit]


def _format(amount: int, units: Mapping[str, int]) -> str:
    unit = max(
        (name for name, size in units.items() if amount and amount % size == 0), key=units.__getitem__, default=""
    )
    return f"{amount // units[unit]}{unit}" if unit else str(amount)
