"""A device that a test can fill: a tmpfs of a few megabytes, and a file that takes the room away."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.conftest import leave_out, require


class SmallDisk:
    """A mounted device. `folder` is for the store; the filler stands beside it."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.folder = mount / "data"
        self._filler = mount / "filler"

    @classmethod
    @contextmanager
    def mounted(cls, mount: Path, size_bytes: int) -> Iterator[Self]:
        """A fresh device under `mount`. Without the right to mount the test is skipped, but where CI=true it fails."""
        programs = require("mount"), require("umount")
        mount.mkdir()
        tried = subprocess.run(
            [programs[0], "-t", "tmpfs", "-o", f"size={size_bytes}", "rowbox-test", mount],
            capture_output=True,
            text=True,
            check=False,
        )
        if tried.returncode:
            leave_out(f"needs the right to mount a tmpfs (run as root): {tried.stderr.strip()}")
        try:
            yield cls(mount)
        finally:
            subprocess.run([programs[1], "--lazy", mount], check=True)

    @property
    def free_bytes(self) -> int:
        status = os.statvfs(self.mount)
        return status.f_bavail * status.f_frsize

    def fill(self, left_bytes: int) -> None:
        """Takes all room but `left_bytes`."""
        with self._filler.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, file.tell() + self.free_bytes - left_bytes))

    def free(self) -> None:
        """Gives it back."""
        self._filler.unlink()

    def grow(self, size_bytes: int) -> None:
        """Makes the device larger."""
        subprocess.run([require("mount"), "-o", f"remount,size={size_bytes}", self.mount], check=True)
