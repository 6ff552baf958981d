"""The pages, and what makes their parts."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.house.reference import command_line, errors, http_api, settings, sockets

PAGES: Final[Mapping[str, Callable[[], Mapping[str, str]]]] = {
    "http-api.md": http_api.parts,
    "errors.md": errors.parts,
    "sockets.md": sockets.parts,
    "settings.md": settings.parts,
    "command-line.md": command_line.parts,
}
"""Beside metrics.md, for which servers have to run."""
