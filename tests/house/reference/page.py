"""A page of the reference: text written by hand and, between marks, parts that the code says.

A mark is a comment, which a reader of the page does not see:

    <!-- make docs: NAME -->
    what stands here is written anew by `make docs`
    <!-- end -->
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[3] / "docs" / "reference"
_PART: Final = re.compile(r"(?<=<!-- make docs: )(?P<name>[^\n]+?) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def filled(page: str, parts: Mapping[str, str]) -> str:
    """`page` with every marked part as `parts` has it. ValueError where the page marks others, or one of them twice."""
    marked = [match["name"] for match in _PART.finditer(page)]
    if sorted(marked) != sorted(parts):
        msg = f"the page marks the parts {sorted(marked)}, and the code makes {sorted(parts)}"
        raise ValueError(msg)
    return _PART.sub(lambda match: f"{match['name']} -->\n\n{parts[match['name']].strip()}\n\n", page)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown. A `|` in a cell is escaped, which Markdown wants in code as well."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    """`text` as code; nothing where there is none."""
    return f"`{text}`" if text else ""


def sentences(text: str) -> str:
    """A text of several lines on one."""
    return " ".join(text.split())
