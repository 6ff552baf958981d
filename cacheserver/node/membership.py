"""Membership of one incarnation: it renews its lease, watches others, and applies the maps that stand.

    beat -> look -> apply the map -> count the renewal -> judge -> one swap -> look -> ... until nothing is to be done

judgement.py decides, watch.py measures the silence of others, tenure.py holds the grants, proposals.py changes the map,
and this module makes the swaps of nodes' cells. An incarnation that was declared dead cannot renew (the swap of a
renewal expects a cell that has not ended), and its lease is over by then (lease.py). Only then may a map give its
shards to others. So no shard ever has two owners that answer, whichever call is late, lost or executed twice.

A look is one read of the cluster's row, and of the map's body where the map's cell has changed. It costs the same in a
cluster of any size: the map's cell, the own one and those of three stewards. The stewards, and whoever is not listed,
read the whole row.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Final

from msgspec.structs import replace

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.node.judgement import (
    FirstPlace,
    Look,
    Member,
    Role,
    Swap,
    is_in_touch,
    next_swap,
    places_to_read,
    plan_input,
    raised,
    renewal,
    stewards,
    take_in,
)
from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.peer_clocks import PeerClocks, WitnessedTime
from rowbox.cacheserver.node.proposals import Plan, Proposals, Raised
from rowbox.cacheserver.node.put_back import WentBack
from rowbox.cacheserver.node.tenure import Changed, LeasedOwnership
from rowbox.cacheserver.node.watch import Touch, Watch
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, MapCell, NodeCell, NodeLoad
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.mailbox.errors import RowboxError, StoreUnavailable
from rowbox.mailbox.settings.config import LeaseSettings

log = logging.getLogger(__name__)

MOST_SWAPS: Final = 8
"""Swaps of one beat at most. More are needed after lost races, or with many to bury: the next beat goes on."""
MOST_LOOKS: Final = 3
"""Reads for one look at most: of a part of the row that turns out to be too little, and of the whole row then."""
GAP_BEATS: Final = 2
"""Looks that are further apart than this many beats have a gap between them (watch.py)."""
LEAVE_BEATS: Final = 2
"""Whoever does not reach the mail leaves it to others after so many beats in which they still say that they do. A store
that is away for everybody is noticed by all within a beat and a probe, and then nobody leaves."""
LEAST_PAUSE_S: Final = 0.01
"""Between two beats: what is due by then need not be awaited to the nanosecond."""
COME_BACK_S: Final = 10.0
"""For so long whoever is back after the end of all waits for the others: the first is not to take everything. It is no
less than ttl + margin: after a restore, some learn of it a beat later than others, and answer until then."""

Applied = Callable[[ShardMap, Changed], None]
"""Hears of each map in the turn of the loop in which its grants changed. It must not raise."""
TellBeat = Callable[[Sequence[str], int], None]
"""Tells these incarnations the number of a beat that was begun, or tries to. It must not raise."""


def new_incarnation() -> str:
    """A random name of 128 bits, in hexadecimal, which no other incarnation has."""
    return secrets.token_hex(16)


class Membership:
    """The membership of one incarnation, which `node` describes.

    The caller calls `beat` every `pause_s` seconds, one call at a time, and `propose` after each beat, also while
    further beats go on.
    """

    def __init__(
        self,
        reader: ClusterReader,
        maps: MapStore,
        settings: LeaseSettings,
        node: ListedNode,
        address: str,
        *,
        plan: Plan,
        now_s: NowS,
        time: WitnessedTime | None = None,
    ) -> None:
        """Each beat tells `time` to the other servers, and the times that they tell are compared with it."""
        self._reader = reader
        self._maps = maps
        self._node = node
        self._address = address
        self._now_s = now_s
        self._time = time
        self._beat_s = settings.beat_ms / 1000
        patience_s = (settings.ttl_ms + settings.margin_ms) / 1000
        self._come_back_s = max(COME_BACK_S, patience_s)
        gap_s = GAP_BEATS * self._beat_s
        self._watch = Watch(patience_s, gap_s, now_s)
        self.incarnation = node.incarnation
        self.clocks = PeerClocks(time, self.incarnation, gap_s, now_s) if time is not None else None
        """The others' clocks; None where nobody is told of the own one."""
        self.lease = Lease(settings.ttl_ms / 1000, now_s)
        self.ownership = LeasedOwnership(0, self.incarnation, self.lease, ())
        self.applied: ShardMap | None = None
        """The newest map whose grants hold here."""
        self.on_applied: Applied | None = None
        self.tell_beat: TellBeat | None = None
        """Tells those who watch over this one (Watch.heard)."""
        self.stewards: tuple[str, ...] = ()
        """Who watches everybody and plans, by rank, as of the last look; () before there was a map."""
        self.reaches_mail = True
        """Whether this server can serve mailboxes; else it leaves them to another. Set before each beat."""
        self.load: NodeLoad | None = None
        """What this server does, which the next beat tells people. Set before each beat."""
        self.why_unlisted = "joining the cluster"
        """What this incarnation waits for while the map does not list it."""
        self.has_owned = False
        """Whether a map has ever given it shards."""
        self.went_back = False
        """Whether the cluster's row was seen older than before, by a restore. Whoever ends that clears it."""
        self.rows_are_above = 0
        """The version under which a row was claimed where that is above the map's, as after a restore; else 0. Whoever
        ends that clears it."""
        self._broken_since_s: float | None = None
        self.touch = Touch(self._beat_s, gap_s, now_s)
        self._went_back = WentBack(self.incarnation)
        self._proposals = Proposals(maps, plan, now_s)
        self._places: Collection[bytes] | None = None
        self._alone_since_s: float | None = None
        """Since when everybody whom the map of version `_alone_of` lists was seen ended, without a gap."""
        self._alone_of = 0
        self._has_joined = False
        self._was_listed = False
        self._is_ending = False
        self._first_place: FirstPlace | None = None
        self._next_beat = 1
        self._begun_s: dict[int, float] = {}

    @property
    def pause_s(self) -> float:
        """How long to wait before the next beat, in seconds: less where patience with somebody ends sooner, or where
        what asks for another map has to be seen once more.
        """
        due_s = self._proposals.due_in_s
        soonest_s = (self._beat_s, self._watch.soonest_s(), *([due_s] if due_s else []))
        return max(LEAST_PAUSE_S, min(soonest_s))

    @property
    def has_proposal(self) -> bool:
        """Whether `propose` has something to do now."""
        return not self._is_ending and self._proposals.due_in_s == 0.0

    @property
    def is_listed(self) -> bool:
        """Whether this incarnation is a part of the cluster, by the newest map that it has applied."""
        return not self._is_ending and self.applied is not None and self.applied.node(self.incarnation) is not None

    @property
    def is_first_steward(self) -> bool:
        """Whether it is the one that decides where one has to."""
        return self.stewards[:1] == (self.incarnation,)

    def drain(self) -> None:
        """From the next beat on it says that it is to be given no shards any more."""
        if self.is_listed:  # else nobody cares, and a Rowbox that knows no shards could not read it
            self._node = replace(self._node, draining=True)

    async def beat(self) -> Role:
        """Renews the lease, takes in what stands, and makes the swaps that are due. The role; REPLACED is for ever.

        Raises what the store raises. A lease that is not renewed in time lapses by itself.
        """
        if not self.lease.is_held:
            self._forget()  # whoever could not reach the store must not judge others by their silence
        self._note_the_mail()
        needed_above = self.ownership.needed_above
        try:
            look = await self._look()
            self._compare(look, needed_above)
            for swaps in range(MOST_SWAPS):
                swap = self._judge(look, has_renewed=swaps > 0)
                if swap is None:
                    break
                await self._reader.swap(look.row, *swap)
                look = await self._look()
            role = self._take_in(look)
        except RowboxError:
            self._forget()
            raise
        self._ask_for_a_map(look)
        return role

    async def propose(self) -> None:
        """Changes the map where that is due here, and applies what stands then.

        Raises StoreUnavailable, TimeoutError. Cancelling it leaves nothing half done.
        """
        standing = await self._proposals.make()
        if standing is not None:
            self.learn(standing)

    def learn(self, standing: ShardMap) -> None:
        """Applies a map that stood in the store a moment ago, unless a newer one was applied."""
        if not self._is_ending and (self.applied is None or standing.version > self.applied.version):
            self._apply(standing)

    def heard(self, incarnation: str, beat: int) -> None:
        """Takes in what another incarnation tells of itself."""
        self._watch.heard(incarnation, beat)

    async def resign(self) -> None:
        """Stops owning, and says so in the store: the next owners need not wait. No write may be in flight any more."""
        self.end()
        await self.beat()

    def end(self) -> None:
        """Ends the lease and the ownership at once: from now on this incarnation answers nothing."""
        self._is_ending = True
        self.lease.end()
        self.ownership.revoke()
        self._proposals.forget()

    def _forget(self) -> None:
        self._watch.forget()
        self._proposals.forget()
        self._alone_since_s = None
        if self.clocks is not None:
            self.clocks.forget()

    def _note_the_mail(self) -> None:
        if self.reaches_mail:
            self._broken_since_s = None
        elif self._broken_since_s is None:
            self._broken_since_s = self._now_s()

    # ------------------------------------------------------------------ what stands

    async def _look(self) -> Look:
        """A look that can be judged: a part of the row where that is enough, else all of it."""
        for _ in range(MOST_LOOKS):
            places = self._places
            row = await (self._reader.whole() if places is None else self._reader.named(places))
            standing = await self._maps.of(row.raw.get(MAP_PLACE))
            if standing.raw != row.raw.get(MAP_PLACE):
                continue  # the map is newer than the cells: whoever joined with it would seem to have no cell
            look = Look(row, standing.map, is_whole=places is None)
            self._places = places_to_read(look, self._member())
            if places is None or self._places is not None:
                return look
        raise StoreUnavailable("the cluster's row changes all the time")

    def _judge(self, look: Look, *, has_renewed: bool) -> Swap | None:
        """Takes in what stands, and says which swap is next. Nothing that was read earlier has a part in it."""
        self._take_in(look)
        me = self._member(has_renewed=has_renewed)
        swap = next_swap(look, me)
        if swap is not None:
            self._begin(look, me, swap)
        return swap

    def _compare(self, look: Look, needed_above: int) -> None:
        """Whether what stands is older than what is known. `needed_above` is as of before the look: a row that was seen
        since may have been claimed under a version that the map got since.
        """
        if look.map.node(self.incarnation) is not None and needed_above > look.map.version:
            self.rows_are_above = needed_above

    def _take_in(self, look: Look) -> Role:
        """What this incarnation is as of `look`. Where it was replaced it has ended, before anything else counts; and a
        renewal counts once the map that was read with it is applied.
        """
        self._watch.saw(look.row)
        self.went_back |= self._went_back.saw(look.row)
        self._see_others(look)
        taken = take_in(look, self._member())
        self._has_joined = taken.has_joined
        if taken.role is Role.REPLACED:
            self.end()
        if taken.applies:
            self._apply(look.map)
        if taken.renewed_beat:
            self._renewed(taken.renewed_beat)
        return taken.role

    def _see_others(self, look: Look) -> None:
        self.stewards = stewards(look)
        self.touch.saw(is_in_touch=is_in_touch(look, self._member()))
        if self.clocks is not None:
            self.clocks.saw(look.row, self.stewards)
        twin = self._twin(look)
        self.why_unlisted = _why_unlisted(look, twin, is_alone=not self.stewards, is_apart=self.touch.is_apart)
        if self.stewards:
            self._alone_since_s = None
        elif self._alone_since_s is None or self._alone_of != look.map.version:
            # Whoever was listed by a map that nobody here has seen may answer for as long as its lease holds.
            self._alone_since_s, self._alone_of = self._now_s(), look.map.version

    def _twin(self, look: Look) -> NodeCell | None:
        """Of another server with the same node id, which lives: its cell. The map lists one of the two at a time."""
        lively = self._watch.lively() - {self.incarnation}
        cells = (cell for cell in look.row.cells.values() if cell.incarnation in lively)
        return next((cell for cell in cells if cell.node_id == self._node.node_id and not cell.has_ended), None)

    def _apply(self, newer: ShardMap) -> None:
        self.applied = newer
        self._was_listed |= newer.node(self.incarnation) is not None
        owned = {shard: newer.since[shard] for shard in newer.shards_of(self.incarnation)}
        self.has_owned |= bool(owned)
        changed = self.ownership.apply(newer.version, owned, newer.features)
        if self.on_applied is not None:
            self.on_applied(newer, changed)

    def _renewed(self, standing_beat: int) -> None:
        """The swap of a beat is known to have executed."""
        if standing_beat in self._begun_s:
            self.lease.renewed(self._begun_s[standing_beat])
        self._begun_s = {beat: begun for beat, begun in self._begun_s.items() if beat >= standing_beat}

    def _ask_for_a_map(self, look: Look) -> None:
        """At the end of a beat: what asks for another map, as of the last look."""
        me = self._member(has_renewed=True)
        higher = raised(look, me)
        self._proposals.see(plan_input(look, me), None if higher is None else Raised(higher, look.map.version))

    @property
    def reaches_peers(self) -> bool:
        """Whether it has been in touch with the other servers within the last beats; before it is listed: now."""
        return not (self.touch.is_cut_off if self._was_listed else self.touch.is_apart)

    @property
    def _is_suspect(self) -> bool:
        """Whether it had better not be listed before more is known of its clock."""
        return self.clocks is not None and not self._was_listed and self.clocks.is_suspect()

    def _begin(self, look: Look, me: Member, swap: Swap) -> None:
        """Before a swap is sent."""
        if swap.cell.incarnation != self.incarnation:
            log.warning("the server at %s is silent: declaring it dead", swap.cell.address)
        renewed = renewal(look, me, swap)
        if renewed is not None:
            self._begun_s[renewed.beat] = self._now_s()
            self._next_beat, self._first_place = renewed.beat + 1, renewed.first_place
            if self.tell_beat is not None:
                self.tell_beat([name for name in self.stewards if name != self.incarnation], renewed.beat)

    def _member(self, *, has_renewed: bool = False) -> Member:
        alone_s, broken_s, now_s = self._alone_since_s, self._broken_since_s, self._now_s()
        return Member(
            self._node,
            self._address,
            self._next_beat,
            applied=self.applied,
            was_listed=self._was_listed,
            needed_above=self.ownership.needs(),
            has_joined=self._has_joined,
            has_renewed=has_renewed,
            is_ending=self._is_ending,
            lease_is_held=self.lease.is_held,
            has_waited=alone_s is not None and now_s - alone_s >= self._come_back_s,
            reaches_mail=self.reaches_mail and not self._is_suspect,
            may_leave=broken_s is not None and now_s - broken_s >= LEAVE_BEATS * self._beat_s,
            contacts=self.touch.contacts(),
            reaches_peers=self.reaches_peers,
            may_leave_peers=self.touch.may_leave,
            clock_us=0 if self._time is None else self._time.says_us(),
            load=self.load,
            silent=self._watch.silent(),
            lively=self._watch.lively(),
            first_place=self._first_place,
        )


def _why_unlisted(look: Look, twin: NodeCell | None, *, is_alone: bool, is_apart: bool) -> str:
    if isinstance(look.row.map, MapCell) and not look.row.has_ended(look.row.map.owner):
        return f"the server at {look.row.map.address}, an older Rowbox, owns the mailboxes: it has to be stopped first"
    if is_alone and look.map.nodes:
        return "waiting for the other servers to come back"
    if twin is not None:
        return f"the server at {twin.address} says that it is {twin.node_id}, too: give one another cluster.node_id"
    if is_apart:
        return "waiting for links with the other servers of the cluster"
    return "waiting to be taken into the cluster's map"
