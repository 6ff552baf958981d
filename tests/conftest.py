"""What every test may use."""

import os
import shutil
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.support.tools import require_declared

pytest_plugins = ["tests.support.hbase_plugin", "tests.support.side_by_side", "tests.support.tools_plugin"]

settings.register_profile(  # a busy machine is slow, and nothing is wrong
    "rowbox", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("rowbox")

EVERYWHERE = ("bash", "mount", "nsenter", "setpriv", "setsid", "sh", "sleep", "umount", "unshare")


def leave_out(reason: str) -> NoReturn:
    """Skips the test, but where CI=true it fails: a skip in CI is a promise that nobody checks any more."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def require(tool: str, install: str = "") -> str:
    """The path of a `tool`; without it the test is left out. `install`: its Debian package, if of another name.

    A test that takes one is marked with it, `@pytest.mark.tools(...)`, so that `make test` installs it.
    """
    if tool not in EVERYWHERE:
        require_declared(tool)
    path = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")  # where Debian keeps servers
    if path is not None:
        return path
    leave_out(f"needs {tool} (Debian: apt-get install {install or tool})")
