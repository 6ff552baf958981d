"""Who may write: the epoch an owner claims rows with, and the check that it still may answer.

`Ownership` is the port of section 5's outer half (leases, map, incarnations). Here are the two that need no cluster.
"""

from typing import Protocol

from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.fence import N_BITS, make_epoch

SOLE_EPOCH = make_epoch(1, 0)
"""The constant epoch of an embedded store: nobody else can ever have written."""


class Ownership(Protocol):
    """What the commit path asks. All of it is cheap and awaits nothing."""

    @property
    def epoch(self) -> int:
        """The epoch to claim rows with now. Never one that was left by `leave_epoch`, in any process, ever."""
        ...

    def leave_epoch(self) -> None:
        """Goes on to a fresh epoch, after an outcome that is not known."""
        ...

    def check(self, user_id: str) -> None:
        """Raises HandoverInProgress unless this process owns the user now: after every write, before every answer."""
        ...


class SoleOwnership:
    """The embedded store's: the folder's lock is the lease, and the process that holds it owns everybody."""

    epoch = SOLE_EPOCH

    def leave_epoch(self) -> None:
        """Nothing: an embedded write is never abandoned, so no outcome stays unknown."""

    def check(self, user_id: str) -> None:
        """Holds as long as the process does."""


class EpochOwnership:
    """One owner among several of one store: a map version that was given to it, and its own counter.

    `revoke` is what losing the lease looks like from here.
    """

    def __init__(self, map_version: int) -> None:
        self.epoch = make_epoch(map_version, 0)
        self.is_held = True

    def leave_epoch(self) -> None:
        """Raises n. OverflowError past its 3 bytes: the process needs a new map version then."""
        map_version, n = divmod(self.epoch, 1 << N_BITS)
        self.epoch = make_epoch(map_version, n + 1)

    def revoke(self) -> None:
        """From now on every check fails."""
        self.is_held = False

    def check(self, user_id: str) -> None:
        """Raises HandoverInProgress after `revoke`."""
        if not self.is_held:
            raise HandoverInProgress("another node owns this user")
