"""The machine that measures: a description of it, and how busy it is in all."""

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BUSY_FIELDS = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq; neither idle nor waiting for a device
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


def busy_s() -> float:
    """Seconds of CPU that all processes together have used since the machine started."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=11)[1:]
    return sum(int(fields[place]) for place in _BUSY_FIELDS) / _TICKS_PER_S


def is_on_disk(folder: Path) -> bool:
    """Whether `folder` is on a disk, so that an fsync of a file in it means anything."""
    mounts = (line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines())
    above = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(above)[1] not in _IN_MEMORY


def described() -> str:
    """The first words of a report: date, commit and machine."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return f"{day}, {_commit()}; {os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def _commit() -> str:
    commit = _git("rev-parse", "--short", "HEAD")
    if not commit:
        return "no commit"
    return f"commit {commit}" + (" and changes that are not committed" if _git("status", "--porcelain") else "")


def _git(*arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    return subprocess.run([git, *arguments], capture_output=True, text=True, check=False).stdout.strip()
