"""Who may write: the epoch an owner claims rows with, and the check that it still may answer.

`Ownership` is what the commit path sees of leases, map and incarnations (node/tenure.py keeps those up to date).
"""

from typing import Protocol

from rowbox.mailbox.fence import make_epoch

SOLE_EPOCH = make_epoch(1, 0)
"""The constant epoch of an embedded store: nobody else can ever have written."""


class Ownership(Protocol):
    """What the commit path asks. All of it is cheap and awaits nothing."""

    @property
    def epoch(self) -> int:
        """The epoch to claim rows with now. Never one that was left by `leave_epoch`, in any process, ever."""
        ...

    @property
    def incarnation(self) -> str:
        """The name that claims carry: no other owner has had it or will have it."""
        ...

    def leave_epoch(self) -> None:
        """Goes on to a fresh epoch, after an outcome that is not known."""
        ...

    def outranked(self, epoch: int) -> None:
        """A row's fence is of a higher `epoch`, or another incarnation's of the same: this process needs one above it,
        or was replaced.
        """
        ...

    def check(self, user_id: str) -> None:
        """Raises HandoverInProgress unless this process owns the user now: after every write, before every answer."""
        ...


class SoleOwnership:
    """The embedded store's: the folder's lock is the lease, and the process that holds it owns everybody."""

    epoch = SOLE_EPOCH
    incarnation = ""

    def leave_epoch(self) -> None:
        """Nothing: an embedded write is never abandoned, so no outcome stays unknown."""

    def outranked(self, epoch: int) -> None:
        """Nothing: an embedded store has no fences."""

    def check(self, user_id: str) -> None:
        """Holds as long as the process does."""
