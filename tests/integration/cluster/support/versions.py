"""The version before this one, made of the repository that the tests are in, and how its `rowbox` is run.

It runs with the Python and the packages that are installed: what they require may only grow between two versions.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.support.hbase_cluster import ROOT

FIRST: Final = "4e3bc3b500c50b830a07fa2b18bd762758cec781"
"""What counts as the version before as long as no release has a tag: the first commit whose servers are a cluster."""
_RUN: Final = "from rowbox.cli.main import main; main(prog_name='rowbox')"


def previous_version() -> str:
    """The newest tag of a release before this commit, or FIRST while there is none."""
    found = _git("tag", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-version:refname", "--list", "v*")
    return next(iter(found.split()), FIRST)


def exported(version: str, folder: Path) -> Sequence[str]:
    """Writes a version's files into a folder; what stands for `rowbox` then, before a verb."""
    folder.mkdir()
    if _run("cat-file", "-e", f"{version}^{{commit}}").returncode != 0:
        pytest.fail(f"this clone does not have {version}, the version before: git fetch --tags --unshallow")
    archive = folder.with_suffix(".tar")
    _git("archive", "--format=tar", f"--output={archive}", version)
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    archive.unlink()
    # -P: the folder in which the tests run has a mailbox/ of its own, which the standard library's is not.
    return ("env", f"PYTHONPATH={folder / 'src'}", sys.executable, "-P", "-c", _RUN)


def _git(*arguments: str) -> str:
    done = _run(*arguments)
    assert done.returncode == 0, f"the version before this one is taken from git: {done.stderr}"
    return done.stdout


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False)
