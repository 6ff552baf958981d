"""The fenced blocks of a document: what tests run so that the document stays true."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_FENCED: Final = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block: ```` ```language name ````. What stands behind the language is shown by no viewer."""

    language: str
    name: str
    text: str


def blocks(document: Path) -> Iterator[Block]:
    """All of them, in their order."""
    for language, name, text in _FENCED.findall(document.read_text()):
        yield Block(language, name, text)


def block(document: Path, name: str) -> str:
    """The text of the one that has this name."""
    (found,) = (block.text for block in blocks(document) if block.name == name)
    return found
