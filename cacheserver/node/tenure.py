"""Ownership that a version of the map gives, and that ends with a lease or with `revoke`."""

from collections.abc import Callable

from rowbox.cacheserver.node.lease import Lease
from rowbox.mailbox.errors import LeaseLapsed, NotTheOwner
from rowbox.mailbox.fence import make_epoch, map_version_of, next_epoch


def still_needed(needed_above: int, map_version: int) -> int:
    """The version that the map still has to be raised above, now that `map_version` was given; 0: it need not be."""
    return 0 if map_version > needed_above else needed_above


class EpochOwnership:
    """The Ownership of one incarnation among several of one store: the map version given to it, and its own counter n.

    `revoke` ends it for ever, when the incarnation was replaced.
    """

    def __init__(self, map_version: int, incarnation: str) -> None:
        self.epoch = make_epoch(map_version, 0)
        self.incarnation = incarnation
        self.is_held = True
        self.needed_above = 0
        """The map has to be raised above this version; 0: the version that was given is enough."""
        self.on_outranked: Callable[[], None] | None = None
        self._is_spent = False

    @property
    def map_version(self) -> int:
        """The newest map version that was given."""
        return map_version_of(self.epoch)

    def leave_epoch(self) -> None:
        """Raises n by one. Once its 3 bytes are spent, `check` fails until a new map version is given."""
        following = next_epoch(self.epoch)
        if following is not None:
            self.epoch = following
        else:
            self._is_spent = True
            self.outranked(self.epoch)

    def outranked(self, epoch: int) -> None:
        """See Ownership. Notes how high the map has to be raised, and calls `on_outranked`.

        After a restore the map may be older than its rows (docs/how-to/backup-and-restore.md).
        """
        self.needed_above = max(self.needed_above, map_version_of(epoch))
        if self.on_outranked is not None:
            self.on_outranked()

    def give(self, map_version: int) -> None:
        """Takes a new map version, which names this incarnation again. Loaded rows stay: nobody else claimed them."""
        self.epoch = make_epoch(map_version, 0)
        self._is_spent = False
        self.needed_above = still_needed(self.needed_above, map_version)

    def revoke(self) -> None:
        """Ends the ownership: from now on every `check` fails."""
        self.is_held = False

    def check(self, user_id: str) -> None:
        """Raises NotTheOwner after `revoke`."""
        if not self.is_held or self._is_spent:
            raise NotTheOwner("another server owns this user", map_version=self.map_version)


class LeasedOwnership(EpochOwnership):
    """An EpochOwnership that also needs a lease: a process that cannot renew it may have been replaced unknowingly."""

    def __init__(self, map_version: int, incarnation: str, lease: Lease) -> None:
        super().__init__(map_version, incarnation)
        self._lease = lease

    def check(self, user_id: str) -> None:
        """Raises NotTheOwner after `revoke`, LeaseLapsed while the lease has lapsed."""
        if not self._lease.is_held:
            raise LeaseLapsed("this server's lease has lapsed", retry_after_ms=1000)
        super().check(user_id)
