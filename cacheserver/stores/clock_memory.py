"""Where a store keeps what it remembers of the time (mailbox/clocks/clock_trust.py): the port, and a cluster's cell.

The embedded store has a file for it (stores/files/clock_file.py).
"""

from typing import Protocol

import msgspec

from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLOCK_ROW
from rowbox.mailbox.clocks.clock_trust import Remembered
from rowbox.mailbox.errors import StoreDamaged

REMEMBERED_QUALIFIER = b"remembered"


class ClockMemory(Protocol):
    """The memory of the time, durable, and shared by all who have the store open. Raises what the store raises."""

    async def read(self) -> Remembered | None:
        """What is remembered; None where nothing is."""
        ...

    async def swap(self, old: Remembered | None, new: Remembered) -> Remembered | None:
        """Puts `new` in the place of `old`, if that is what stands. Returns what stands afterwards in any case."""
        ...


class CellMemory:
    """One cell of a row of its own, changed by compare-and-set."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> Remembered | None:
        columns = await self._store.get_columns(CLOCK_ROW, Family.INDEX, [REMEMBERED_QUALIFIER])
        return decoded(columns[0][1]) if columns else None

    async def swap(self, old: Remembered | None, new: Remembered) -> Remembered | None:
        expected = None if old is None else encoded(old)
        await self._store.compare_and_set(CLOCK_ROW, Family.INDEX, REMEMBERED_QUALIFIER, expected, encoded(new))
        return await self.read()


def encoded(remembered: Remembered) -> bytes:
    """The bytes as which it is stored: JSON, which an operator can read."""
    return msgspec.json.encode(remembered)


def decoded(value: bytes) -> Remembered:
    """The inverse of `encoded`. StoreDamaged where `value` is no such text."""
    try:
        return msgspec.json.decode(value, type=Remembered)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreDamaged(f"what the store remembers of the time does not read back: {error}") from error
