"""A program that measures something in a process of its own and prints its figures as one JSON object."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple


class Alone(NamedTuple):
    """What a store gave by itself. `cpu_s` is the program's own."""

    name: str
    turn: int
    width: int
    sends: float
    cpu_s: float
    wall_s: float


def printed(module: str, arguments: Mapping[str, object]) -> dict[str, float]:
    """The figures of `python -m module JSON`. CalledProcessError."""
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def alone(name: str, module: str, turn: int, arguments: Mapping[str, object]) -> Alone:
    """One turn of a ceiling that has no HTTP; `arguments` name the `width` of its batches."""
    figures = printed(module, arguments)
    width = arguments["width"]
    assert isinstance(width, int)
    return Alone(name, turn, width, figures["sends"], figures["cpu_s"], figures["wall_s"])
