"""What the selected tests need of the system: only that is installed, and only where `make test` asks for it.

A test says so by the marker `tools` or by a fixture (tools.py), and takes each tool by `require` (tests/conftest.py),
which refuses one that was not said. So a layer that needs none installs none, with -k, -m and single files as well.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.support.alone import alone
from tests.support.tools import HERE, tools_of

INSTALLER: Final = Path(__file__).parents[1] / "install-tools"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--install-tools", action="store_true", help="Install what the selected tests need of the system.")


def _needed(items: Iterable[pytest.Item]) -> list[str]:
    return sorted(set[str]().union(*map(tools_of, items)))


def pytest_report_collectionfinish(items: list[pytest.Item]) -> list[str]:
    needed = _needed(items)
    return [f"needed of the system: {' '.join(needed)}"] if needed else []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Before any test's time runs, and before HBase's jars are fetched by what this installs."""
    options = session.config.option
    needed = _needed(session.items)
    if options.install_tools and needed and not options.collectonly:
        with alone("install-tools"):
            subprocess.run([str(INSTALLER), *needed], check=False)  # what it could not install, it said


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterable[None]:
    HERE.append(item)
    try:
        return (yield)
    finally:
        HERE.pop()
