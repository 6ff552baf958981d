"""What every test may use."""

import os
import shutil

import pytest

pytest_plugins = ["tests.support.hbase_plugin"]


def require(tool: str, install: str = "") -> str:
    """The path of a system's `tool`. Without it the test is skipped, but where CI=true it fails.

    A skip in CI is a promise that nobody checks any more. `install` is Debian's package, where it has another name.
    """
    path = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")  # where Debian keeps servers
    if path is not None:
        return path
    reason = f"needs {tool} (Debian: apt-get install {install or tool})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
