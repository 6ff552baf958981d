"""Runs programs that measure something in a process of their own and print their figures as one JSON object."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple


class Alone(NamedTuple):
    """The figures of a store by itself. `cpu_s` is the CPU of the program alone."""

    name: str
    turn: int
    width: int
    sends: float
    cpu_s: float
    wall_s: float


def printed(module: str, arguments: Mapping[str, object]) -> dict[str, float]:
    """The figures that `python -m module JSON` prints. CalledProcessError where it fails."""
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def alone(name: str, module: str, turn: int, arguments: Mapping[str, object]) -> Alone:
    """One turn of a ceiling that has no HTTP; `arguments` name the `width` of its batches."""
    figures = printed(module, arguments)
    width = arguments["width"]
    assert isinstance(width, int)
    return Alone(name, turn, width, figures["sends"], figures["cpu_s"], figures["wall_s"])
