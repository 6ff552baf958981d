"""Who may write: the epoch with which an owner claims rows, and the check that the owner may still answer.

`Ownership` is what the commit path sees of leases, map and incarnations (node/tenure.py keeps those up to date).
"""

from typing import Protocol

from rowbox.mailbox.fence import make_epoch

SOLE_EPOCH = make_epoch(1, 0)
"""The constant epoch of an embedded store: nobody else can ever have written."""


class Ownership(Protocol):
    """What whoever loads, commits and answers asks about ownership. Every method is cheap and awaits nothing."""

    @property
    def epoch(self) -> int:
        """The epoch to claim rows with now. No process ever claims with one that was left by `leave_epoch`."""
        ...

    @property
    def incarnation(self) -> str:
        """The name that claims carry: no other owner has had it or will have it."""
        ...

    def leave_epoch(self) -> None:
        """Goes on to a fresh epoch, because the outcome of a write is not known."""
        ...

    def outranked(self, epoch: int) -> None:
        """Notes that another one has claimed a row under `epoch`, which is this process's own or higher.

        This process was replaced, or it needs an epoch above that one.
        """
        ...

    def check(self, user_id: str) -> None:
        """Raises NotTheOwner or LeaseLapsed unless this process owns the user now. After writes, before answers."""
        ...


class SoleOwnership:
    """The ownership of an embedded store: the process that holds the folder's lock owns all users."""

    epoch = SOLE_EPOCH
    incarnation = ""

    def leave_epoch(self) -> None:
        """Does nothing: an embedded write is never abandoned, so no outcome stays unknown."""

    def outranked(self, epoch: int) -> None:
        """Does nothing: an embedded store has no fences."""

    def check(self, user_id: str) -> None:
        """Never raises: this process owns all users as long as it lives."""
