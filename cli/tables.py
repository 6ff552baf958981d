"""Tables on a terminal, and in a pipe."""

import io

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where no terminal says how wide it is."""


def width() -> int:
    """How many columns there are for what is printed."""
    terminal = Console()
    return terminal.width if terminal.is_terminal else PIPE_WIDTH


def printed(table: Table) -> str:
    """The table as text, as wide as the terminal is."""
    table.box = SIMPLE
    target = Console(file=io.StringIO(), width=width())
    target.print(table)
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()
