"""Membership of one incarnation: it renews its lease, watches the others, and takes over where the owner has ended.

    beat -> read what stands -> judge it -> one swap -> read what stands -> judge it -> ... until nothing is to be done

judgement.py decides, watch.py measures the silence of others, and this module makes the swaps. An owner that was
declared dead cannot renew (the swap of a renewal expects a cell that says alive), and its lease is over by then
(lease.py). So there are never two owners at once, whichever call is late, lost or executed twice.
"""

import logging
import secrets

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.node.judgement import FirstPlace, Member, Role, Swap, next_swap, renewal, take_in
from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.peer_clocks import PeerClocks, WitnessedTime
from rowbox.cacheserver.node.tenure import LeasedOwnership
from rowbox.cacheserver.node.watch import Watch
from rowbox.cacheserver.node.went_back import WentBack
from rowbox.cacheserver.shardmap.cluster_state import ClusterCells, ClusterState, NodeCell
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import LeaseSettings

log = logging.getLogger(__name__)

MOST_SWAPS = 8
"""Swaps of one beat at most. More are needed after lost races, or with many to bury: the next beat goes on."""
GAP_BEATS = 2
"""Looks that are further apart than this many beats have a gap between them (watch.py)."""


def new_incarnation() -> str:
    """A random name of 128 bits, in hexadecimal, which no other incarnation has."""
    return secrets.token_hex(16)


class Membership:
    """The membership of one incarnation. The caller calls `beat` every `pause_s` seconds, one call at a time."""

    def __init__(
        self,
        cells: ClusterCells,
        settings: LeaseSettings,
        address: str,
        *,
        now_s: NowS,
        incarnation: str,
        time: WitnessedTime | None = None,
    ) -> None:
        """Each beat tells `time` to the other servers, and the times that they tell are compared with it."""
        self._cells = cells
        self._address = address
        self._now_s = now_s
        self._time = time
        self._beat_s = settings.beat_ms / 1000
        patience_s = (settings.ttl_ms + settings.margin_ms) / 1000
        gap_s = GAP_BEATS * self._beat_s
        self._watch = Watch(patience_s, gap_s, now_s)
        self.clocks = PeerClocks(time, incarnation, gap_s, now_s) if time is not None else None
        """The others' clocks; None where nobody is told of the own one."""
        self.incarnation = incarnation
        self.lease = Lease(settings.ttl_ms / 1000, now_s)
        self.ownership: LeasedOwnership | None = None
        """Set once the map names this incarnation."""
        self.owner_address = ""
        """The address at which the owner runs, for people to read; "" before a map was seen."""
        self.reaches_mail = True
        """Whether this server can serve mailboxes; else it leaves them to another. Set before each beat."""
        self.went_back = False
        """Whether the cluster's row was seen older than before, by a restore. Whoever ends that clears it."""
        self.rows_are_ahead = False
        """Whether a row was claimed under a higher version than that of the map, which names this incarnation."""
        self._went_back = WentBack(incarnation)
        self._owner = ""
        self._has_joined = False
        self._is_ending = False
        self._first_place: FirstPlace | None = None
        self._next_beat = 1
        self._begun_s: dict[int, float] = {}

    @property
    def pause_s(self) -> float:
        """How long to wait before the next beat, in seconds: less where patience with the owner ends sooner."""
        is_watching = self._owner not in ("", self.incarnation)
        left_s = self._watch.left_s(self._owner) if is_watching else self._beat_s
        return min(self._beat_s, max(left_s, 0.0))

    async def beat(self) -> Role:
        """Renews the lease, reads the state, and makes the swaps that are due. Returns the role; REPLACED is for ever.

        Raises what the store raises. A lease that is not renewed in time lapses by itself.
        """
        if not self.lease.is_held:
            self._forget()  # whoever could not reach the store must not judge others by their silence
        needed_above = 0 if self.ownership is None else self.ownership.needed_above
        try:
            state = await self._cells.read()
            self._compare(state, needed_above)
            for swaps in range(MOST_SWAPS):
                swap = self._judge(state, has_renewed=swaps > 0)
                if swap is None:
                    break
                state = await self._cells.swap(state, *swap)
        except RowboxError:
            self._forget()
            raise
        return self._take_in(state)

    async def resign(self) -> None:
        """Stops owning, and says so in the store: the next owner need not wait. No write may be in flight any more."""
        self.end()
        await self.beat()

    def end(self) -> None:
        """Ends the lease and the ownership at once: from now on this incarnation answers nothing."""
        self._is_ending = True
        self.lease.end()
        if self.ownership is not None:
            self.ownership.revoke()

    def _forget(self) -> None:
        self._watch.forget()
        if self.clocks is not None:
            self.clocks.forget()

    # ------------------------------------------------------------------ what stands

    def _judge(self, state: ClusterState, *, has_renewed: bool) -> Swap | None:
        """Takes in what stands, and says which swap is next. Nothing that was read earlier has a part in it."""
        self._take_in(state)
        me = self._member(has_renewed=has_renewed)
        swap = next_swap(state, me)
        if swap is not None:
            self._begin(state, me, swap)
        return swap

    def _compare(self, state: ClusterState, needed_above: int) -> None:
        """Whether what stands is older than what is known. `needed_above` is as of before the look: a row that was seen
        since may have been claimed under a version that the map got since.
        """
        named = state.map
        if named is not None and named.owner == self.incarnation and needed_above > named.version:
            self.rows_are_ahead = True

    def _take_in(self, state: ClusterState) -> Role:
        """What this incarnation is as of `state`. Where it was replaced it has ended, before anything else counts."""
        self._watch.saw(state)
        if self.clocks is not None:
            self.clocks.saw(state)
        self.went_back |= self._went_back.saw(state)
        if state.map is not None:
            self._owner, self.owner_address = state.map.owner, state.map.address
        taken = take_in(state, self._member())
        self._has_joined = taken.has_joined
        if taken.role is Role.REPLACED:
            self.end()
        if taken.renewed_beat:
            self._renewed(taken.renewed_beat)
        if taken.given_version:
            self._own(taken.given_version)
        return taken.role

    def _renewed(self, standing_beat: int) -> None:
        """The swap of a beat is known to have executed."""
        if standing_beat in self._begun_s:
            self.lease.renewed(self._begun_s[standing_beat])
        self._begun_s = {beat: begun for beat, begun in self._begun_s.items() if beat >= standing_beat}

    def _own(self, map_version: int) -> None:
        if self.ownership is None:
            self.ownership = LeasedOwnership(map_version, self.incarnation, self.lease)
        else:
            self.ownership.give(map_version)

    def _begin(self, state: ClusterState, me: Member, swap: Swap) -> None:
        """Before a swap is sent."""
        if isinstance(swap.cell, NodeCell) and swap.cell.incarnation != self.incarnation:
            log.warning("the server at %s is silent: declaring it dead", swap.cell.address)
        renewed = renewal(state, me, swap)
        if renewed is not None:
            self._begun_s[renewed.beat] = self._now_s()
            self._next_beat, self._first_place = renewed.beat + 1, renewed.first_place

    def _member(self, *, has_renewed: bool = False) -> Member:
        owned = self.ownership
        return Member(
            self.incarnation,
            self._address,
            self._next_beat,
            has_joined=self._has_joined,
            has_renewed=has_renewed,
            is_ending=self._is_ending,
            owned_version=0 if owned is None else owned.map_version,
            needed_above=0 if owned is None else owned.needed_above,
            lease_is_held=self.lease.is_held,
            reaches_mail=self.reaches_mail,
            clock_us=0 if self._time is None else self._time.says_us(),
            silent=self._watch.silent(),
            lively=self._watch.lively(),
            first_place=self._first_place,
        )
