"""Grants that a version of the map gives, and that end with a later version, with `revoke`, or pause with a lease.

A shard's grant goes by the version that gave the shard (`since` in the map). While that stays the same the grant stays
the same object, so a change of the map never makes an unconcerned row claim anew. A higher `since` is another grant,
also where the owner is the same: the shard may have been another's in between.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from rowbox.cacheserver.features import KNOWN
from rowbox.cacheserver.node.lease import Lease
from rowbox.hbase_schema.keys import MAX_SHARDS
from rowbox.mailbox.errors import LeaseLapsed, NotTheOwner
from rowbox.mailbox.fence import make_epoch, map_version_of, next_epoch

RETRY_AFTER_MS = 1000
"""Of a lapsed lease: a renewal is tried every beat."""


class Changed(NamedTuple):
    """What a version of the map has changed. A shard that was given anew is in both: its old grant has ended."""

    gained: frozenset[int]
    lost: frozenset[int]


class EpochGrant:
    """The Grant of one shard to one incarnation: the map version that gave it, and a counter n of its own."""

    __slots__ = (
        "_admits",
        "_answers",
        "_is_closing",
        "_is_spent",
        "_is_suspended",
        "_tenure",
        "epoch",
        "is_over",
        "needed_above",
        "shard",
    )

    def __init__(self, tenure: "EpochOwnership", shard: int, since: int) -> None:
        self._tenure = tenure
        self.shard = shard
        self.epoch = make_epoch(since, 0)
        self.needed_above = 0
        """The map has to name this shard's owner by a version above this one; 0: the version that gave it is enough."""
        self.is_over = False
        """Whether it has ended, for ever."""
        self._is_spent = False
        self._is_suspended = False
        self._is_closing = False
        self._answers = self._admits = True
        """What these come to: they are asked for each answer, and for each request."""

    @property
    def incarnation(self) -> str:
        """See Grant."""
        return self._tenure.incarnation

    def leave_epoch(self) -> None:
        """Raises n by one. Once its 3 bytes are spent, `check` fails until the shard is given by a new map version."""
        following = next_epoch(self.epoch)
        if following is not None:
            self.epoch = following
        else:
            self._is_spent = True
            self._judge()
            self.outranked(self.epoch)

    def outranked(self, epoch: int) -> None:
        """See Grant. Notes how high the map has to be raised, and calls the ownership's `on_outranked`.

        After a restore the map may be older than its rows (docs/how-to/backup-and-restore.md).
        """
        self.needed_above = max(self.needed_above, map_version_of(epoch))
        self._tenure.needs_more(self)

    def admit(self) -> None:
        """See Grant."""
        self._tenure.check()
        if not self._admits:
            raise self._refusal()

    def check(self) -> None:
        """See Grant."""
        self._tenure.check()
        if not self._answers:
            raise self._refusal()

    def stop_admitting(self) -> None:
        """See Grant."""
        self._is_closing = True
        self._judge()

    def resume_admitting(self) -> None:
        """See Grant."""
        self._is_closing = False
        self._judge()

    def suspend(self) -> None:
        """Answers nothing until `resume`, because a version that gives the shard to another may stand already."""
        self._is_suspended = True
        self._judge()

    def resume(self) -> None:
        """Answers again: what stands names this incarnation still. Does nothing to a grant that has ended."""
        self._is_suspended = False
        self._judge()

    def revoke(self) -> None:
        """Ends the grant, for ever."""
        self.is_over = True
        self._judge()

    def _judge(self) -> None:
        self._answers = not (self.is_over or self._is_suspended or self._is_spent)
        self._admits = self._answers and not self._is_closing

    def _refusal(self) -> NotTheOwner:
        closing = "this server is giving this user away"
        why = closing if self._answers else self._tenure.who_has(self.shard)
        return NotTheOwner(why, map_version=self._tenure.map_version)


class EpochOwnership:
    """The Ownership of one incarnation among several of one store. `revoke` ends it for ever."""

    def __init__(self, map_version: int, incarnation: str, shards: Collection[int] = range(MAX_SHARDS)) -> None:
        """It begins with all of `shards`, given by `map_version`."""
        self.map_version = map_version
        """The newest version of the map that was taken in."""
        self.incarnation = incarnation
        self.features: Collection[str] = KNOWN
        """See Ownership. Before a map was taken in: all."""
        self.is_held = True
        self.on_outranked: Callable[[], None] | None = None
        self.who_has: Callable[[int], str] = lambda _shard: "another server owns this user"
        """Says, for people, who has a shard that this incarnation has no grant of."""
        self._since: Mapping[int, int] = dict.fromkeys(shards, map_version)
        self._grants: dict[int, EpochGrant] = {}
        """Made when they are first asked for."""
        self._in_need: set[EpochGrant] = set()
        """Of these: those for which the map may have to be raised."""

    @property
    def shards(self) -> Collection[int]:
        """See Ownership."""
        return self._since.keys()

    @property
    def needed_above(self) -> int:
        """The highest version that the map has to be raised above for some shard; 0: there is none."""
        return max(self.needs().values(), default=0)

    def needs(self) -> Mapping[int, int]:
        """By shard: the version that its `since` has to be raised above, for those shards for which it has to be."""
        return {grant.shard: grant.needed_above for grant in self._in_need}

    def needs_more(self, grant: EpochGrant) -> None:
        """Notes that a grant needs the map raised above its `needed_above`, and calls `on_outranked`."""
        if not grant.is_over:
            self._in_need.add(grant)
        if self.on_outranked is not None:
            self.on_outranked()

    def grant_of(self, shard: int) -> EpochGrant:
        """See Ownership."""
        grant = self._grants.get(shard)
        if grant is None:
            since = self._since.get(shard)
            if since is None:
                raise NotTheOwner(self.who_has(shard), map_version=self.map_version)
            grant = self._grants[shard] = EpochGrant(self, shard, since)
        return grant

    def apply(self, map_version: int, owned: Mapping[int, int], features: Collection[str] | None = None) -> Changed:
        """Takes in a version of the map: `owned` has the shards that it gives to this incarnation, each with its since;
        `features` is what it says is on (None: what was before).

        A grant ends where the shard is not there any more or has a higher `since`; all others stay as they are.
        Versions come in rising order. ValueError for one below the newest.
        """
        if map_version < self.map_version:
            raise ValueError(f"map version {map_version} comes after {self.map_version}")
        before, self._since, self.map_version = self._since, dict(owned), map_version
        self.features = features if features is not None else self.features
        lost = frozenset(shard for shard, since in before.items() if owned.get(shard) != since)
        gained = frozenset(shard for shard, since in owned.items() if before.get(shard) != since)
        for shard in lost:
            ended = self._grants.pop(shard, None)
            if ended is not None:
                ended.revoke()
                self._in_need.discard(ended)
        return Changed(gained, lost)

    def revoke(self) -> None:
        """Ends all grants, for ever."""
        self.is_held = False
        for grant in self._grants.values():
            grant.revoke()
        self._grants.clear()
        self._since = {}

    def check(self) -> None:
        """See Ownership. NotTheOwner after `revoke`."""
        if not self.is_held or not self._since:
            raise self._not_the_owner()

    def _not_the_owner(self) -> NotTheOwner:
        return NotTheOwner("another server owns this user", map_version=self.map_version)


class LeasedOwnership(EpochOwnership):
    """An EpochOwnership that also needs a lease: a process that cannot renew it may have been replaced unknowingly."""

    def __init__(
        self, map_version: int, incarnation: str, lease: Lease, shards: Collection[int] = range(MAX_SHARDS)
    ) -> None:
        super().__init__(map_version, incarnation, shards)
        self._lease = lease

    def check(self) -> None:
        """See Ownership. LeaseLapsed while the lease has lapsed."""
        if not self._lease.is_held:
            raise LeaseLapsed("this server's lease has lapsed", retry_after_ms=RETRY_AFTER_MS)
        if not self.is_held or not self._since:  # as super().check() does: this is asked for each answer
            raise self._not_the_owner()
