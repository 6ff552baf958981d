"""Who may answer: grants of shards, the epochs with which rows are claimed, and the checks that a grant still holds.

A **grant** is the right of one incarnation to one shard since one version of the map. It ends for ever: the same node
may be given the same shard again, but by another grant. So whoever begins something under a grant (a request, a batch,
a page, a parked poll) asks that grant at its end. The question "do I own this user now?" would be answered with yes
after the shard was given away and came back, while what is in memory is of the time before.

`Ownership` is what the owner sees of leases, maps and incarnations (node/tenure.py keeps those up to date).
"""

from collections.abc import Collection
from typing import Protocol

from rowbox.cacheserver.features import KNOWN
from rowbox.mailbox.errors import LeaseLapsed, NotTheOwner
from rowbox.mailbox.fence import make_epoch

SOLE_EPOCH = make_epoch(1, 0)
"""The constant epoch of an embedded store: nobody else can ever have written."""


class Grant(Protocol):
    """What whoever loads, commits and answers asks about one shard. Every method is cheap and awaits nothing."""

    @property
    def shard(self) -> int:
        """The shard that it is of."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch to claim rows with now. No process ever claims with one that was left by `leave_epoch`."""
        ...

    @property
    def incarnation(self) -> str:
        """The name that claims carry: no other owner has had it or will have it."""
        ...

    def leave_epoch(self) -> None:
        """Goes on to a fresh epoch, because the outcome of a write under this grant is not known."""
        ...

    def outranked(self, epoch: int) -> None:
        """Notes that another one has claimed a row under `epoch`, which is this grant's own or higher.

        This process was replaced, or it needs an epoch above that one.
        """
        ...

    def admit(self) -> None:
        """As `check`, and NotTheOwner between `stop_admitting` and `resume_admitting`.

        To be asked when something begins: a request, a command, a delivery, a poll, a load.
        """
        ...

    def check(self) -> None:
        """Raises NotTheOwner once the grant has ended, LeaseLapsed while the lease has. After writes, before answers.

        A grant that has not ended has held without a break: what began under it may be answered.
        """
        ...

    def stop_admitting(self) -> None:
        """From now on nothing new begins; what was begun may end."""
        ...

    def resume_admitting(self) -> None:
        """Ends what `stop_admitting` began."""
        ...


class Ownership(Protocol):
    """The shards of one owner."""

    @property
    def features(self) -> Collection[str]:
        """What is switched on by now (features.py)."""
        ...

    @property
    def shards(self) -> Collection[int]:
        """The shards that are granted now."""
        ...

    def grant_of(self, shard: int) -> Grant:
        """The grant of a shard, the same one until it ends. NotTheOwner where there is none."""
        ...

    def check(self) -> None:
        """Raises NotTheOwner or LeaseLapsed where this process may answer for no shard now."""
        ...


class SoleGrant:
    """A grant of an embedded store's shard: it never ends, because nobody else opens the folder."""

    __slots__ = ("_admits", "shard")

    epoch = SOLE_EPOCH
    incarnation = ""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self._admits = True

    def leave_epoch(self) -> None:
        """Does nothing: an embedded write is never abandoned, so no outcome stays unknown."""

    def outranked(self, epoch: int) -> None:
        """Does nothing: an embedded store has no fences."""

    def admit(self) -> None:
        """See Grant."""
        if not self._admits:
            raise NotTheOwner("this shard takes no requests now")

    def check(self) -> None:
        """Never raises: this process owns all shards as long as it lives."""

    def stop_admitting(self) -> None:
        """See Grant."""
        self._admits = False

    def resume_admitting(self) -> None:
        """See Grant."""
        self._admits = True


class SoleOwnership:
    """The ownership of an embedded store: the process that holds the folder's lock owns all shards."""

    def __init__(self, shards: int) -> None:
        self.shards: Collection[int] = range(shards)
        self.features: Collection[str] = KNOWN
        self._grants: dict[int, SoleGrant] = {}

    def grant_of(self, shard: int) -> SoleGrant:
        """See Ownership."""
        grant = self._grants.get(shard)
        if grant is None:
            grant = self._grants[shard] = SoleGrant(shard)
        return grant

    def check(self) -> None:
        """Never raises."""


def is_held(grant: Grant) -> bool:
    """Whether what is in memory under the grant still is: a lease that has lapsed takes nothing out of it."""
    try:
        grant.check()
    except NotTheOwner:
        return False
    except LeaseLapsed:
        return True
    return True
