"""Refuses writes while a device has little room, so that the flushes and compactions that RocksDB has begun can end.

When one of these meets a full disk, the whole database stops. So the guard refuses writes before that, when nothing is
lost, and lets them through again as soon as there is room.
"""

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from rowbox.mailbox.errors import StoreFull, StoreUnavailable

_SAMPLE_S = 0.1
"""Seconds between two looks at the device. A device of 1 GB/s writes 100 MB in that time, for which `min_free_bytes`
has to leave room."""
_RETRY_AFTER_MS = 1000


def free_bytes(folder: Path) -> int:
    """The bytes that an ordinary process may still write on the folder's device."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def device_bytes(folder: Path) -> tuple[int, int]:
    """The size in bytes of the file system of `folder`, and how many an ordinary process may still write there."""
    status = os.statvfs(folder)
    return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize


class DiskGuard:
    """Refuses writes while the device has less than `min_free_bytes`. It looks at most every 100 ms. For one thread."""

    def __init__(
        self,
        folder: Path,
        min_free_bytes: int,
        free: Callable[[Path], int] = free_bytes,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._folder = folder
        self.min_free_bytes = min_free_bytes
        self._free = free
        self._clock_s = clock_s
        self._sampled_s = float("-inf")
        self._free_bytes = 0
        self.refused = 0

    def check(self) -> None:
        """StoreFull while there is too little room; StoreUnavailable where the device does not tell its room."""
        now_s = self._clock_s()
        if now_s - self._sampled_s >= _SAMPLE_S:
            self._free_bytes, self._sampled_s = self._look(), now_s
        if self._free_bytes < self.min_free_bytes:
            self.refused += 1
            raise StoreFull(
                f"the store's device has {self._free_bytes >> 20} MiB left, "
                f"min_free_bytes asks for {self.min_free_bytes >> 20} MiB",
                retry_after_ms=_RETRY_AFTER_MS,
            )

    def _look(self) -> int:
        try:
            return self._free(self._folder)
        except OSError as error:
            raise StoreUnavailable(f"the store's device does not say how much room it has: {error.strerror}") from error
