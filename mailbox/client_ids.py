"""The hashes of all clientMessageIds that a sender used within the dedupe life: a miss is certain, a hit reads on.

Kept as 64-bit numbers per day of their version, so that days drop out as a whole. A number that two ids share costs
one read of the store and nothing else.
"""

from rowbox.mailbox.clock import US_PER_MS

ID_BYTES_IN_MEMORY = 100
"""An int in a set, its share of the table included."""
_US_PER_DAY = 24 * 3600 * 1000 * US_PER_MS


class ClientIds:
    """See the module's text. An id may be found for up to a day after its dedupe life ended; the store then decides."""

    __slots__ = ("_days", "_oldest_day", "count")

    def __init__(self) -> None:
        self._days: dict[int, set[int]] = {}
        self._oldest_day = 0
        """Of those in `_days`; 0 before there is one."""
        self.count = 0

    def add(self, client_id_hash: bytes, version: int) -> None:
        """Takes in an id that a send of `version` used."""
        day = version // _US_PER_DAY
        of_day = self._days.get(day)
        if of_day is None:
            of_day = self._days[day] = set()
            self._oldest_day = min(self._days)
        before = len(of_day)
        of_day.add(_number(client_id_hash))
        self.count += len(of_day) - before

    def may_hold(self, client_id_hash: bytes) -> bool:
        """False: certainly not used within the dedupe life."""
        number = _number(client_id_hash)
        for day in self._days.values():  # noqa: SIM110 - one or two, mostly: any()'s generator costs more than they do
            if number in day:
                return True
        return False

    def drop_expired(self, before_us: int) -> None:
        """Forgets the days that ended before `before_us`."""
        last_day = before_us // _US_PER_DAY
        if self._oldest_day < last_day:
            for day in [day for day in self._days if day < last_day]:
                self.count -= len(self._days.pop(day))
            self._oldest_day = min(self._days, default=last_day)

    @property
    def size_bytes(self) -> int:
        """What they cost in memory."""
        return self.count * ID_BYTES_IN_MEMORY


def _number(client_id_hash: bytes) -> int:
    return int.from_bytes(client_id_hash[:8], "big")
