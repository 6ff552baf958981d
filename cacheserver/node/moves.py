"""Moves of shards between two living servers: how one gives shards away warm, and how the other one gets them.

The map says which shards are to go where (moving_to). Their owner, the mover, does the rest:

    reach       the target answers, and knows that the shards are to come
    close       nothing new begins for the shards; what is in flight ends (Owner.close_shards)
    hand over   under an id that is drawn now, the mailboxes in memory go to the target, which keeps them unclaimed
    swap        the map's next version names the target as the owner, and the id
    learn       the mover reads that version, and its grants end; so does the target, which takes out of its stash what
                came under that id, and claims each mailbox at its first use

Whoever asks meanwhile is told NotTheOwner, and waits at the router for a newer map. So the time from the close to the
swap is bounded by the mover's own clock. A move that fails before the swap was sent is as if it had not been tried: the
shards open again at once, and the move is called off in the map. From sending the swap on, the mover answers nothing
for the shards until it has read a newer version than the one that the swap expects, because until then the swap may
execute; if need be it makes such a version itself (move_rules.py). What that version says is true: the move has ended
as it was meant to, or as if it had not been tried.

A target that dies, or never hears of anything, leaves nothing between: the map names one owner or the other at every
moment, and whatever was handed over is used under the id in that map alone, or thrown away (rows/stash.py).
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.node.move_rules import gives_away, is_decided, takes_back
from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.rows.stash import HandedRow, HandOver, Stash
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import RowboxError, StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.ids import shard_of

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""After moves that were given up, one after the other: the plan may name the same target again and again."""
SWAP_PAUSE_S = 0.1
LONGEST_SWAP_PAUSE_S = 1.0
"""Between two tries to learn what became of a swap."""

SendHandOver = Callable[[ListedNode, HandOver, int, float], Awaitable[int]]
"""Sends a part of a hand-over to a node, by the map of a version, within so many seconds: how many rows it took.

RowboxError: it has them or not.
"""


class Tenure(NamedTuple):
    """What one incarnation is, as far as its moves are concerned."""

    incarnation: str
    owner: Callable[[], Owner | None]
    """The owner of its shards; None before it has had any."""
    ownership: EpochOwnership
    maps: MapStore
    learn: Callable[[ShardMap], None]
    """Has a map that stands applied, in this turn: grants that it ends have ended when this returns."""
    view: MapView
    """Maps that were applied."""


class MoveLimits(NamedTuple):
    """The bounds of moves."""

    move_s: float = 4.0
    """How long shards stay closed while what is in flight ends, and for the hand-over."""
    swap_s: float = 2.0
    """How long the swap may take after that; then the mover takes the shards back, if it still can."""
    handover_s: float = 1.5
    """How much of that is for handing over: the mailboxes that have not gone by then are loaded by the target."""
    handover_bytes: int = 64 << 20
    """How much is handed over in one move, and kept of what is handed over to this process."""
    part_bytes: int = 1 << 20
    """About how much goes in one call."""


class MoveCounters:
    """What the moves of one process have come to so far, of all its incarnations."""

    def __init__(self) -> None:
        self.begun = 0
        self.moves = 0
        """Moves that have ended as they were meant to, for some of their shards at least."""
        self.given_up = 0
        self.rebuilt = 0
        """How often the map was changed by another one first, so that the change was made anew."""
        self.moved_shards = 0
        self.warm_rows = 0
        """Mailboxes that went along, as the target said."""
        self.cold_rows = 0
        """Mailboxes that were in memory and did not go along: their next owner reads them."""
        self.handed_bytes = 0
        self.closed_s = 0.0
        """How long shards were closed, of all moves together."""
        self.closed_shards = 0
        """Shards that are closed now."""
        self.taken_rows = 0
        """Mailboxes that others have handed over to this process, and that it has claimed or may."""

    def samples(self) -> Iterable[Sample]:
        """What is exported of it."""
        text = "Moves of shards to another server that this one has begun."
        yield "rowbox_moves_begun_total", "counter", text, {}, self.begun
        yield "rowbox_moves_total", "counter", "Of these, moves that were made.", {}, self.moves
        text = "Of these, moves that were given up: the shards stayed here."
        yield "rowbox_moves_given_up_total", "counter", text, {}, self.given_up
        text = "Times a move was made anew, because somebody else changed the map first."
        yield "rowbox_moves_rebuilt_total", "counter", text, {}, self.rebuilt
        text = "Seconds for which moves kept their shards closed, all together: requests for these wait."
        yield "rowbox_moves_closed_seconds_total", "counter", text, {}, self.closed_s
        text = "Shards that are closed now, as they are being given to another server."
        yield "rowbox_moves_closed_shards", "gauge", text, {}, self.closed_shards
        text = "Shards that this server has given to another one."
        yield "rowbox_moved_shards_total", "counter", text, {}, self.moved_shards
        text = "Mailboxes in memory of shards that this server gave away."
        yield "rowbox_moved_mailboxes_total", "counter", text, {"went": "warm"}, self.warm_rows
        yield "rowbox_moved_mailboxes_total", "counter", text, {"went": "cold"}, self.cold_rows
        text = "Bytes of the mailboxes that were handed over."
        yield "rowbox_moved_bytes_total", "counter", text, {}, self.handed_bytes


class _Move(NamedTuple):
    """An attempt to give shards to a target, begun by the map of `version`."""

    target: ListedNode
    since: Mapping[int, int]
    """By shard: the version that gave it to this incarnation."""
    version: int


class Moves:
    """The moves of one incarnation. `loop` gives shards away; `close` ends it.

    A move that is ended by `close` before its swap was sent opens its shards again. After that they stay closed.
    """

    def __init__(
        self,
        tenure: Tenure,
        shards: int,
        send: SendHandOver,
        limits: MoveLimits | None = None,
        counters: MoveCounters | None = None,
    ) -> None:
        """`shards` is the store's number of them. `counters`: the process's, where another incarnation may have had
        moves before.
        """
        self._tenure = tenure
        self._me = tenure.incarnation
        self._shards = shards
        self._send = send
        self._limits = limits if limits is not None else MoveLimits()
        self._time = asyncio.get_running_loop().time
        self._stash = Stash(shards, self._limits.handover_bytes, lambda shard: shard in tenure.ownership.shards)
        self._failures = 0
        self._not_before_s = float("-inf")
        self.counters = counters if counters is not None else MoveCounters()
        self.loop = BackgroundLoop("moves", self._round)

    async def close(self) -> None:
        """Ends the move under way, and begins none."""
        await self.loop.close()

    def applied(self, before: ShardMap | None, after: ShardMap) -> None:
        """Notes that a map was applied, which may have shards move, or not any more."""
        if before is None or before.leaving(self._me) != after.leaving(self._me) or before.ownerless:
            self.loop.wake()

    # ---------------------------------------------------------------------- the target

    async def take_in(self, hand_over: HandOver, sender: str, map_version: int, timeout_s: float) -> int:
        """Keeps what `sender`, an incarnation that has proven its name, hands over by the map of a version.

        Only rows of shards that it owns, and that are on their way to this incarnation, by the newest map that was
        applied when they are taken in. Returns how many those are; the others are thrown away.
        """
        view = self._tenure.view
        if view.version < map_version:
            view.wanted(map_version)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await view.newer_than(map_version - 1)
        standing = view.newest
        if standing is None:
            return 0
        coming = standing.arriving(self._me).get(sender, ())
        allowed = frozenset(coming)
        rows = [row for row in hand_over.rows if shard_of(row.user_id, self._shards) in allowed]
        return self._stash.put(hand_over.id, rows, self._time())

    def stash(self, shards: Collection[int], after: ShardMap) -> list[HandedRow]:
        """What was handed over of shards that `after` has just given to this incarnation: each of it is given once."""
        rows = self._stash.take_out({shard: after.hand_over_of(shard) for shard in shards})
        self.counters.taken_rows += len(rows)
        return rows

    # ---------------------------------------------------------------------- the mover

    async def _round(self) -> float | None:
        """One move, if there is one to be made. When to look again; None: when another map is applied."""
        self._stash.drop_old(self._time())
        owner, standing = self._tenure.owner(), self._tenure.view.newest
        if owner is None or standing is None or not standing.leaving(self._me) or standing.ownerless:
            return None
        pause_s = self._not_before_s - self._time()
        if pause_s > 0:
            return pause_s
        target, shards = min(standing.leaving(self._me).items())
        node = standing.node(target)
        assert node is not None, "the target of a move is listed"
        move = _Move(node, {shard: standing.since[shard] for shard in shards}, standing.version)
        self.counters.begun += 1
        try:
            await self._move(owner, move)
        except (RowboxError, TimeoutError) as error:
            self._gave_up(move, error)
        else:
            self._failures = 0
        # Where the map that came of it was not applied, this incarnation is ending, and there is nothing to begin.
        return 0.0 if self._tenure.view.version > standing.version else FIRST_PAUSE_S

    def _gave_up(self, move: _Move, error: Exception) -> None:
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(self._failures, 16)))
        self._failures += 1
        self.counters.given_up += 1
        self._not_before_s = self._time() + pause_s
        why = str(error) or "it took too long"
        log.warning("%d shards stay here that were to go to %s: %s", len(move.since), move.target.node_id, why)

    async def _move(self, owner: Owner, move: _Move) -> None:
        """RowboxError or TimeoutError: the shards stay, and are open."""
        try:
            async with asyncio.timeout(self._limits.move_s):
                # Nothing yet: it is answered once the target has read the map. Until then everything stays open.
                await self._send_part(move, HandOver("", []))
        except (RowboxError, TimeoutError):
            await self._call_off(move)
            raise
        in_memory = sum(row.mailbox is not None for row in owner.table.rows_of(move.since))
        failure: Exception | None = None
        taken = moved = 0
        with self._counted_as_closed(len(move.since)):
            try:
                async with asyncio.timeout(self._limits.move_s):
                    await owner.close_shards(move.since)
                    hand_over_id = f"{self._me}-{secrets.token_hex(8)}"
                    taken = await self._hand_over(owner, move, hand_over_id)
            except BaseException as error:
                owner.reopen(move.since)
                if not isinstance(error, RowboxError | TimeoutError):
                    raise
                failure = error
            else:
                moved = await self._give_away(owner, move, hand_over_id)
        if failure is not None:
            await self._call_off(move)
            raise failure
        if not moved:
            self.counters.given_up += 1
            return
        self.counters.moves += 1
        self.counters.moved_shards += moved
        self.counters.warm_rows += taken
        self.counters.cold_rows += max(0, in_memory - taken)
        log.info("%d shards went to %s, %d of %d mailboxes warm", moved, move.target.node_id, taken, in_memory)

    @contextmanager
    def _counted_as_closed(self, shards: int) -> Iterator[None]:
        counters, began_s = self.counters, self._time()
        counters.closed_shards += shards
        try:
            yield
        finally:
            counters.closed_shards -= shards
            counters.closed_s += self._time() - began_s

    async def _hand_over(self, owner: Owner, move: _Move, hand_over_id: str) -> int:
        """Hands over as much as there is time for: the target reads the rest. Returns how many mailboxes it took."""
        limits, taken = self._limits, 0
        try:
            async with asyncio.timeout(limits.handover_s):
                async for rows in owner.handing_over.parts(move.since, limits.handover_bytes, limits.part_bytes):
                    taken += await self._send_part(move, HandOver(hand_over_id, rows))
        except (RowboxError, TimeoutError) as error:
            log.info("the rest of what %s could have had is for it to read: %r", move.target.node_id, error)
        return taken

    async def _send_part(self, move: _Move, part: HandOver) -> int:
        taken = await self._send(move.target, part, move.version, self._limits.move_s)
        self.counters.handed_bytes += sum([row.size_bytes for row in part.rows]) if taken else 0
        return taken

    async def _call_off(self, move: _Move) -> None:
        """Has the map say that the shards stay. If that fails, they move when they are looked at again."""
        with suppress(RowboxError):
            self._tenure.learn(await self._tenure.maps.change(lambda standing: self._back(move, standing)))

    def _back(self, move: _Move, standing: ShardMap) -> ShardMap | None:
        return takes_back(standing, self._me, move.since)

    async def _give_away(self, owner: Owner, move: _Move, hand_over_id: str) -> int:
        """The swap, and what becomes of it: how many shards went. RowboxError: it was not sent, and they are open."""
        ownership = self._tenure.ownership
        grants = [ownership.grant_of(shard) for shard in move.since if shard in ownership.shards]
        sent_over: int | None = None

        def give(standing: ShardMap) -> ShardMap | None:
            return gives_away(standing, self._me, move.since, move.target.incarnation, hand_over_id)

        def send(standing: ShardMap) -> None:
            nonlocal sent_over
            self.counters.rebuilt += sent_over is not None
            sent_over = standing.version
            for grant in grants:
                grant.suspend()

        try:
            async with asyncio.timeout(self._limits.swap_s):
                stands = await self._tenure.maps.change(give, send)
        except Exception as error:
            is_over = isinstance(error, StoreUnavailable) and not isinstance(error, StoreOutcomeUnknown)
            if sent_over is None or is_over:
                for grant in grants:
                    grant.resume()
                owner.reopen(move.since)
                await self._call_off(move)
                raise
            stands = await self._decided(move, sent_over)
        self._tenure.learn(stands)
        kept = {
            shard
            for shard in stands.shards_of(self._me)
            if shard in move.since and stands.since[shard] == move.since[shard]
        }
        for grant in grants:
            if grant.shard in kept:
                grant.resume()
        owner.reopen(kept)
        return len(move.since) - len(kept)

    async def _decided(self, move: _Move, sent_over: int) -> ShardMap:
        """The map that stands, once the swap that was sent over a version cannot execute any more.

        If nobody else changes the map, this makes the version by which that is so: one in which the shards stay.
        """

        def take_back(standing: ShardMap) -> ShardMap | None:
            return None if is_decided(sent_over, standing) else self._back(move, standing)

        pause_s = SWAP_PAUSE_S
        while True:
            with suppress(RowboxError):
                stands = await self._tenure.maps.change(take_back)
                if is_decided(sent_over, stands):
                    return stands
            applied = self._tenure.view.newest
            if applied is not None and is_decided(sent_over, applied):
                return applied
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_SWAP_PAUSE_S, 2 * pause_s)
