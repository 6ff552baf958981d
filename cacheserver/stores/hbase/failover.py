"""Which of several gateways is used: the one that worked last, until it fails; then the next.

A gateway fails that takes no connection, is silent, answers one call after the other with errors of its own, or ends
one new connection after the other without an answer. A gateway that answers other calls while one meets its deadline is
not silent: the region server behind it is. A gateway that was left comes last, and is tried again when those before it
fail.
"""

from collections.abc import Sequence

from rowbox.hbase_schema.thrift.connection import Address

ERRORS_IN_A_ROW = 3
"""After so many errors and no other answer between, a gateway is left. One or two may be a region that moves."""


class Failover:
    """The order in which a store's gateways are tried: as they were named, beginning with the one that is in use.

    The gateway that was left for the one in use is thereby the last to be tried again. Not for several threads at once:
    the pool holds its lock whenever it calls. Times are of `monotonic`.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = tuple(addresses)
        self._current = 0
        self._answered_s = 0.0
        """When the current gateway last did what it was asked for, or passed on what a region server said."""
        self._errors = 0
        """How many errors of its own the current gateway has answered with since then."""

    def in_order(self) -> list[Address]:
        """All gateways, the one to try first at the beginning."""
        return [*self._addresses[self._current :], *self._addresses[: self._current]]

    def worked(self, gateway: Address) -> bool:
        """Makes `gateway`, which took a connection, the current one; whether that is a change."""
        return self._go_to(self._addresses.index(gateway))

    def answered(self, gateway: Address, now_s: float) -> None:
        """Notes that a call through `gateway` was answered."""
        if self._is_current(gateway):
            self._answered_s, self._errors = now_s, 0

    def was_silent(self, gateway: Address, begun_s: float) -> bool:
        """Notes that a call begun at `begun_s` met its deadline; whether `gateway` is left for that."""
        return self._is_current(gateway) and self._answered_s <= begun_s and self._leave()

    def erred(self, gateway: Address) -> bool:
        """Notes an error that may be the gateway's own, or a new connection that ended without an answer.

        Whether `gateway` is left for that.
        """
        if not self._is_current(gateway):
            return False
        self._errors += 1
        return self._errors >= ERRORS_IN_A_ROW and self._leave()

    def _is_current(self, gateway: Address) -> bool:
        """Not so for a call begun before the last change: that is no news."""
        return self._addresses[self._current] == gateway

    def _leave(self) -> bool:
        return self._go_to((self._current + 1) % len(self._addresses))

    def _go_to(self, number: int) -> bool:
        self._errors = 0
        before, self._current = self._current, number
        if number != before:
            self._answered_s = 0.0
        return number != before
