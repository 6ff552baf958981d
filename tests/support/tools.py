"""What a test needs of the system: which tools it said, and that it takes no other."""

from typing import Final

import pytest

_HBASE: Final = ("java", "mvn")
_BY_FIXTURE: Final = {"hbase": _HBASE, "hbase_cluster": _HBASE, "framed": _HBASE, "browser": ("chromium",)}
HERE: Final[list[pytest.Item]] = []
"""The test that runs now."""


def tools_of(item: pytest.Item) -> set[str]:
    """The commands that a test needs."""
    marked = {tool for mark in item.iter_markers("tools") for tool in mark.args}
    return marked.union(*(_BY_FIXTURE.get(name, ()) for name in getattr(item, "fixturenames", ())))


def require_declared(tool: str) -> None:
    """Fails the running test where it takes a tool that it did not say it needs: nobody would install it."""
    if HERE and tool not in tools_of(HERE[-1]):
        pytest.fail(f"takes {tool}: say @pytest.mark.tools({tool!r}), and name it in tests/install-tools")
