"""The whole suite in two processes (pytest -n 2): much of it waits for servers, so it takes not much more than half.

A file's tests stay together, because they may share fixtures; those that share none may have a group of their own
(pytest.mark.xdist_group). So do all that use an HBase: it takes long to start, and
what is measured there must not have another one beside it. What takes longest begins first.

What pytest holds of all these tests is no garbage, and the collector does not look for any in it: each full collection
walked 400,000 objects of pytest, plugins and modules, which took a sixth of the CPU time. What a test leaves behind is
found as before, by the collections after it.
"""

import gc
from collections import defaultdict
from collections.abc import Generator, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Final

import pytest

from tests.support.tools import tools_of

TESTS: Final = Path(__file__).parents[1]
_LONG: Final = ("browser", "integration", "client", "javascript", "property", "model", "simulation")
"""Folders of the files that take longest, in the order in which they begin."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slowest-files", type=int, default=0, metavar="N", help="Name the N files that took longest.")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Marks before the other hooks, because xdist reads marks in its own; sorts after them, to have the last word."""
    side_by_side = hasattr(config, "workerinput")  # in one process the order is as it was
    if side_by_side:
        for item in items:
            if item.get_closest_marker("xdist_group") is None:  # else it shares nothing with its file, and says so
                item.add_marker(pytest.mark.xdist_group("hbase" if _uses_hbase(item) else str(item.path)))
    yield
    if side_by_side:
        items.sort(key=_place)


def _uses_hbase(item: pytest.Item) -> bool:
    return "java" in tools_of(item)


def _place(item: pytest.Item) -> int:
    if _uses_hbase(item):
        return 0
    folder = item.path.relative_to(TESTS).parts[0]
    return 1 + (_LONG.index(folder) if folder in _LONG else len(_LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    number = config.getoption("--slowest-files")
    if not number:
        return
    taken_s: defaultdict[str, float] = defaultdict(float)
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            taken_s[report.nodeid.partition("::")[0]] += report.duration  # of setup, call and teardown, one report each
    terminalreporter.section(f"slowest {number} files")
    for file, seconds in sorted(taken_s.items(), key=itemgetter(1), reverse=True)[:number]:
        terminalreporter.line(f"{seconds:6.1f} s  {file}")
