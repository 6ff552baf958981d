"""Which of several gateways is used: the one that worked last, until it fails; then the next."""

from collections.abc import Sequence

from rowbox.cacheserver.stores.hbase_connection import Gateway


class Gateways:
    """An order of preference, turned so that the one in use comes first and one that failed last.

    Not for several threads at once: the pool's lock is held.
    """

    def __init__(self, addresses: Sequence[Gateway]) -> None:
        self._addresses = tuple(addresses)
        self._current = 0

    def in_order(self) -> list[Gateway]:
        """All of them, the one to try first at the beginning."""
        return [*self._addresses[self._current :], *self._addresses[: self._current]]

    def worked(self, gateway: Gateway) -> bool:
        """Stays with `gateway`; whether that is a change."""
        return self._go_to(self._addresses.index(gateway))

    def failed(self, gateway: Gateway) -> bool:
        """Leaves `gateway`; whether that is a change, and not the failure of a call begun before the last one."""
        if self._addresses[self._current] != gateway:
            return False
        return self._go_to((self._current + 1) % len(self._addresses))

    def _go_to(self, number: int) -> bool:
        before, self._current = self._current, number
        return number != before
