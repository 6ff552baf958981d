"""The hashes of the clientMessageIds that a sender used within the dedupe life: a miss is certain, a hit reads on.

Kept as 64-bit numbers: those of sends made here per day of their version, so that days drop out as a whole; those that
the store held when the mailbox was loaded in one set, which drops out when the newest of them has expired. A number
that two ids share, or an id that expired before its set dropped out, costs one read of the store and nothing else.

The store's are read in parts, ascending, and not all of them before the mailbox is used: a hash behind what has been
read so far is a hit.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

from rowbox.mailbox.aggregate.number_set import NumberSet
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.ids import ID_BYTES

_US_PER_DAY = 24 * 3600 * 1000 * US_PER_MS
_EVERYTHING = b""


class PackedIds(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """ClientIds as bytes, for another process. The order of the fields is a format (docs/formats.md)."""

    days: dict[int, bytes]
    """By day: its numbers (NumberSet.packed)."""
    loaded: bytes | None
    """Numbers of those that the store held; None where they have dropped out."""
    loaded_day: int
    unread_from: bytes | None


class ClientIds:
    """The hashes of one sender's clientMessageIds.

    An id may be found for up to a dedupe life after its own ended; the store then decides.
    """

    __slots__ = ("_days", "_loaded", "_loaded_day", "_oldest_day", "unread_from")

    def __init__(self, loaded_at: int | None = None) -> None:
        """`loaded_at` None: the store has no ids. Else it may have some of versions up to that; none is read."""
        self._days: dict[int, NumberSet] = {}
        self._loaded: NumberSet | None = None if loaded_at is None else NumberSet()
        self._loaded_day = (loaded_at or 0) // _US_PER_DAY
        self._oldest_day = self._loaded_day
        """The oldest day of which a set is held; 0 before there is any."""
        self.unread_from: bytes | None = None if loaded_at is None else _EVERYTHING
        """The least qualifier in the store that has not been read; None: all have been."""

    @classmethod
    def unpacked(cls, packed: PackedIds) -> Self:
        """The inverse of `packed`. ValueError where that did not make it."""
        ids = cls()
        ids._days = {day: NumberSet.unpacked(numbers) for day, numbers in packed.days.items()}
        ids._loaded = None if packed.loaded is None else NumberSet.unpacked(packed.loaded)
        ids._loaded_day, ids.unread_from = packed.loaded_day, packed.unread_from
        ids._note_oldest()
        return ids

    def packed(self) -> PackedIds:
        """All that is here, for another process that goes on with it."""
        days = {day: numbers.packed() for day, numbers in self._days.items()}
        loaded = None if self._loaded is None else self._loaded.packed()
        return PackedIds(days, loaded, self._loaded_day, self.unread_from)

    @property
    def count(self) -> int:
        """How many hashes are held."""
        return sum(ids.count for ids in self._all())

    def add(self, client_id_hash: bytes, version: int) -> None:
        """Takes in an id that a send of `version` used."""
        day = version // _US_PER_DAY
        of_day = self._days.get(day)
        if of_day is None:
            of_day = self._days[day] = NumberSet()
            self._note_oldest()
        of_day.add(_number(client_id_hash))

    def add_read(self, client_id_hashes: Iterable[bytes], unread_from: bytes | None) -> None:
        """Takes in the next ids that were read. The store's other ids begin at `unread_from`; None: it has no more."""
        if self._loaded is None:
            return  # they expired while they were read
        for client_id_hash in client_id_hashes:
            self._loaded.add(_number(client_id_hash))
        self.unread_from = unread_from
        if unread_from is None and self._loaded.count == 0:
            self._loaded = None  # as of all who only receive

    def may_hold(self, client_id_hash: bytes) -> bool:
        """Whether the id may have been used within the dedupe life. False is certain; True: ask the store."""
        number = _number(client_id_hash)
        for day in self._days.values():  # one or two, mostly: any()'s generator costs more than they do
            if number in day:
                return True
        if self._loaded is None:
            return False
        is_unread = self.unread_from is not None and client_id_hash >= self.unread_from[:ID_BYTES]
        return is_unread or number in self._loaded

    def drop_expired(self, before_us: int) -> None:
        """Forgets the days that ended before `before_us`."""
        last_day = before_us // _US_PER_DAY
        if self._oldest_day < last_day:
            for day in [day for day in self._days if day < last_day]:
                del self._days[day]
            if self._loaded_day < last_day:
                self._loaded = self.unread_from = None
            self._note_oldest()

    @property
    def size_bytes(self) -> int:
        """How many bytes the hashes take in memory."""
        size = self._loaded.size_bytes if self._loaded is not None else 0
        for ids in self._days.values():  # one or two, mostly; asked for after each mutation
            size += ids.size_bytes
        return size

    def _all(self) -> list[NumberSet]:
        return [*self._days.values(), *([] if self._loaded is None else [self._loaded])]

    def _note_oldest(self) -> None:
        days = [*self._days, *([] if self._loaded is None else [self._loaded_day])]
        self._oldest_day = min(days, default=0)


def _number(client_id_hash: bytes) -> int:
    return int.from_bytes(client_id_hash[:8], "big")
