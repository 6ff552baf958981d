"""Writes the examples of the API, and what the code says into the pages: ``python -m tests.house.reference``."""

import asyncio
import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.house.reference import examples
from tests.house.reference.page import FOLDER, filled


def main() -> None:
    examples.FILE.write_bytes(asyncio.run(examples.recorded()))
    from tests.house.reference import metrics  # not before: what shows the examples reads them once
    from tests.house.reference.pages import PAGES

    for page, parts in PAGES.items():
        write(page, parts())
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        families = metrics.exposed(Path(folder))
    write("metrics.md", metrics.parts(families))


def write(page: str, parts: Mapping[str, str]) -> None:
    path = FOLDER / page
    path.write_text(filled(path.read_text(), parts))


main()
