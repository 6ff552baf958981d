"""What an embedded store remembers of the time: a file in its folder, replaced as a whole.

A file and no key of RocksDB's, because an operator has a word in it while a server has the folder open.

A folder that was made before there was such a file has a witness all the same: the time at which one of its files was
last written.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rowbox.cacheserver.stores.clock_memory import decoded, encoded
from rowbox.mailbox.clocks.clock_trust import Remembered
from rowbox.mailbox.errors import StoreUnavailable, StoreUnusable

NAME = "rowbox.clock"
_NEXT = "rowbox.clock.next"
"""What is being written. A kill or a full disk leaves it behind: it must mean nothing to whoever opens the folder."""
_MADE_BY_ROCKSDB = "CURRENT"


class ClockFile:
    """ClockMemory over the store in `folder`. Reads without the folder's lock; whoever swaps has read before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME

    async def read(self) -> Remembered | None:
        return await asyncio.to_thread(self._stands)

    async def swap(self, old: Remembered | None, new: Remembered) -> Remembered | None:
        return await asyncio.to_thread(self._swap, old, new)

    def _swap(self, old: Remembered | None, new: Remembered) -> Remembered | None:
        if not (self._folder / _MADE_BY_ROCKSDB).exists():
            raise StoreUnusable(f"there is no store in {self._folder}: name the folder of the server")
        try:
            with self._alone() as folder:
                stands = self._stored()
                if stands is not None and stands != old:
                    return stands
                self._replace(encoded(new), folder)
        except OSError as error:
            raise StoreUnavailable(f"what the store remembers of the time cannot be written: {error}") from error
        return new

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """The folder's descriptor, while nobody else swaps: no operator, and no thread whose caller was cancelled.

        flock(2) counts for each opened descriptor, so it keeps the threads of one process apart as well.
        """
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)  # and with it the lock

    def _stands(self) -> Remembered | None:
        stored = self._stored()
        return stored if stored is not None else self._witness()

    def _stored(self) -> Remembered | None:
        try:
            return decoded(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"what the store remembers of the time cannot be read: {error}") from error

    def _witness(self) -> Remembered | None:
        if not (self._folder / _MADE_BY_ROCKSDB).exists():
            return None
        written_ns = 0
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # whoever has the folder open removes files
                written_ns = max(written_ns, path.stat().st_mtime_ns if path.is_file() else 0)
        return Remembered(written_ns // 1000)

    def _replace(self, value: bytes, folder: int) -> None:
        following = self._folder / _NEXT
        with following.open("wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        following.replace(self._path)
        os.fsync(folder)
