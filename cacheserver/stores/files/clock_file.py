"""An embedded store's memory of the time: a file in its folder, which is replaced as a whole.

It is a file and not a key of RocksDB, because `rowbox clock accept` changes it while a server has the folder open.

For a folder that an older Rowbox made without this file, the time at which one of its files was last written counts.
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
"""The name of the file while it is written. A kill or a full disk leaves it behind, so nobody reads it."""
_MADE_BY_ROCKSDB = "CURRENT"


class ClockFile:
    """A ClockMemory (clock_memory.py) for the embedded store in `folder`. It works without the store's lock."""

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
        """Locks the folder against other swaps, of an operator's verb or of a thread whose caller was cancelled. Gives
        the folder's descriptor.

        flock(2) counts for each opened descriptor, so it keeps the threads of one process apart as well.
        """
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)  # this ends the lock as well

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
            with suppress(FileNotFoundError):  # a server that has the folder open removes files
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
