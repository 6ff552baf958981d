"""Ownership that is given, and can be taken away: by a version of the map, and for as long as a lease holds."""

from collections.abc import Callable

from rowbox.cacheserver.node.lease import Lease
from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.fence import make_epoch, map_version_of, next_epoch


def still_needed(needed_above: int, map_version: int) -> int:
    """Above which map version one is still needed, now that `map_version` was given; 0: none is."""
    return 0 if map_version > needed_above else needed_above


class EpochOwnership:
    """One owner among several of one store: a map version that was given to it, and its own counter n.

    `revoke` is what being replaced looks like from here, and it is for ever.
    """

    def __init__(self, map_version: int, incarnation: str) -> None:
        self.epoch = make_epoch(map_version, 0)
        self.incarnation = incarnation
        self.is_held = True
        self.needed_above = 0
        """A map version that is not enough any more; 0: the one it has will do."""
        self.on_outranked: Callable[[], None] | None = None
        self._is_spent = False

    @property
    def map_version(self) -> int:
        """The newest map version that was given."""
        return map_version_of(self.epoch)

    def leave_epoch(self) -> None:
        """Raises n. Past its 3 bytes nothing is owned until a new map version is given: no epoch is used twice."""
        following = next_epoch(self.epoch)
        if following is not None:
            self.epoch = following
        else:
            self._is_spent = True
            self.outranked(self.epoch)

    def outranked(self, epoch: int) -> None:
        """See Ownership. After a restore the map may be older than its rows (docs/how-to/backup-and-restore.md)."""
        self.needed_above = max(self.needed_above, map_version_of(epoch))
        if self.on_outranked is not None:
            self.on_outranked()

    def give(self, map_version: int) -> None:
        """A new map version names this process again. Rows that are loaded stay: nobody else claimed them."""
        self.epoch = make_epoch(map_version, 0)
        self._is_spent = False
        self.needed_above = still_needed(self.needed_above, map_version)

    def revoke(self) -> None:
        """From now on every check fails."""
        self.is_held = False

    def check(self, user_id: str) -> None:
        """Raises HandoverInProgress after `revoke`."""
        if not self.is_held or self._is_spent:
            raise HandoverInProgress("another server owns this user")


class LeasedOwnership(EpochOwnership):
    """An EpochOwnership that also needs a lease: a process that cannot renew it may have been replaced unknowingly."""

    def __init__(self, map_version: int, incarnation: str, lease: Lease) -> None:
        super().__init__(map_version, incarnation)
        self._lease = lease

    def check(self, user_id: str) -> None:
        """Raises HandoverInProgress after `revoke`, and while the lease has lapsed."""
        if not self._lease.is_held:
            raise HandoverInProgress("this server's lease has lapsed", retry_after_ms=1000)
        super().check(user_id)
