"""The model of one lease and of one that watches it, by the `Lease` and the `Watch` that ship: clocks are real here.

The cluster's model (cluster.py) takes from here that patience with a beat ends after the lease that counts from it.

A owns and renews; B watches, and declares A dead once its patience is over. Steps, in every order:

- A begins a beat: it notes the time, reads its cell and sends the swap. The swap executes at any later time, or never,
  and A reads what stands whenever it likes. It tells B of the beat, over a link: B hears of it at any later time, or
  never.
- B begins a look, which reads the row at that moment. The answer comes at any later time, or never. B judges it, and
  what it then sends executes at any later time, or never.
- Time passes. No clock is set; B's may run faster than A's, by as much as the margin allows for.
- The store stalls, for longer than two looks may be apart: all calls under way are lost.

What is checked: A's lease is over when its cell says dead; and a stall ends nobody, for by B's clock A has all the
patience after it. A pause is no step: a process that is paused is one whose steps do not come.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rowbox.cacheserver.node.judgement import Look, Member, next_swap, renewal, take_in
from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.watch import Watch
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow, MapRoot
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from tests.model.cluster.cluster_map import Map, listed_node, shipped_map

TTL_S, PATIENCE_S, GAP_S = 6, 9, 6
TICK_S, FAST_TICK_S = 2, 3
"""By A's clock, and by B's where that is fast."""
STALL_S = 7
PLACE, OTHER_PLACE = b"nA", b"nB"
B_CELL = NodeCell("B", 1, "alive", "", node_id="B")
MAP = shipped_map(Map(1, ("A", "B"), ("A",), (1,), ("",)))


class PatienceRules(NamedTuple):
    """``PatienceRules(margin=False)`` is the protocol without that rule."""

    from_before: bool = True
    """The lease counts from before the beat was sent. Else: from when its success is known."""
    margin: bool = True
    """Patience lasts for the lease's life and a margin. Else: for the lease's life."""
    each_beat: bool = True
    """Patience begins anew with each change of the cell. Else: with the first look at an incarnation."""
    no_gaps: bool = True
    """Patience begins anew after a gap in the looking. Else: the time of the gap counts."""
    told_when_begun: bool = True
    """A tells of a beat once it has noted when it began it. Else: of the next one at the same time."""
    of_that_beat: bool = True
    """Patience begins when B heard of the beat that it sees. Else: when it heard of whichever one last."""


class PatienceBounds(NamedTuple):
    """How often each thing may happen."""

    ticks: int = 3
    beats: int = 2
    looks: int = 3
    stalls: int = 0
    hears: int = 0


class Timed(NamedTuple):
    """All that exists at one moment."""

    left: PatienceBounds
    a_s: int = 0
    b_s: int = 0
    """What the clocks say."""
    cell: NodeCell = NodeCell("A", 1, "alive", "", node_id="A")
    underway: frozenset[tuple[NodeCell, NodeCell]] = frozenset()
    """Swaps: what each expects, and what it puts there."""
    beat: int = 1
    begun: frozenset[tuple[int, int]] = frozenset([(1, 0)])
    """When A began each beat."""
    told: frozenset[int] = frozenset()
    """The beats that A has told of, and B has not heard of."""
    until_s: float = TTL_S
    """A's lease: the beat that it starts with was begun at 0, and has been read back."""
    look: NodeCell | None = None
    """What B's look has read, whose answer has not come."""
    watch: "Remembered" = (0, (), ())
    """What B remembers."""
    stalled_at_s: int | None = None
    """By B's clock."""
    wrong: str | None = None


Step = tuple[str, Timed]
Remembered = tuple[float, tuple[tuple[str, Any], ...], tuple[tuple[str, Any], ...]]
"""When B looked, what it has seen, and of what it has heard."""


class Patience:
    """The model, under `rules`, within `bounds`."""

    def __init__(self, rules: PatienceRules, bounds: PatienceBounds) -> None:
        self.rules, self.bounds = rules, bounds

    def initial(self) -> Timed:
        return Timed(self.bounds, told=self.tells(1) if self.bounds.hears else frozenset())

    def violation(self, state: Timed) -> str | None:
        if state.wrong is not None:
            return state.wrong
        if state.cell.status == "dead" and lease(state).is_held:
            return "A is dead, and its lease holds"
        return None

    def successors(self, state: Timed) -> Iterator[Step]:
        yield from self.time(state)
        for expected, cell in state.underway:
            if expected == state.cell:
                begun = frozenset(one for one in state.begun if one[0] >= cell.beat)
                # What else was sent expects what stood before, and no cell ever stands twice: it never executes.
                done = state._replace(cell=cell, underway=frozenset(), begun=begun)
                yield f"A/{expected.beat} becomes {cell.status} {cell.beat}", done
        yield from self.renews(state)
        yield from self.watches(state)

    def time(self, state: Timed) -> Iterator[Step]:
        left = state.left
        for b_s in (TICK_S, FAST_TICK_S) if left.ticks else ():
            label = f"{TICK_S} s pass, for B {b_s} s"
            passed = state._replace(left=left._replace(ticks=left.ticks - 1), a_s=state.a_s + TICK_S)
            yield label, passed._replace(b_s=state.b_s + b_s)
        if left.stalls:
            lost = state._replace(left=left._replace(stalls=left.stalls - 1), underway=frozenset(), look=None)
            over = lost._replace(a_s=state.a_s + STALL_S, b_s=state.b_s + STALL_S, stalled_at_s=state.b_s + STALL_S)
            yield f"the store stalls for {STALL_S} s", over

    # ---- A -----------------------------------------------------------------------------------------------------------

    def renews(self, state: Timed) -> Iterator[Step]:
        seen, left = read(state.cell), state.left
        me = member("A", state.beat + 1)._replace(lease_is_held=lease(state).is_held)
        swap = next_swap(seen, me)
        if swap is not None and left.beats:
            renewed = renewal(seen, me, swap)
            assert renewed is not None
            yield (
                f"A begins beat {renewed.beat}",
                state._replace(
                    left=left._replace(beats=left.beats - 1),
                    beat=renewed.beat,
                    begun=state.begun | {(renewed.beat, state.a_s)},
                    told=state.told | self.tells(renewed.beat) if left.hears else state.told,
                    underway=state.underway | {(state.cell, swap.cell)},
                ),
            )
        renewed_beat = take_in(seen, me).renewed_beat
        if renewed_beat:
            begun_s = dict(state.begun)[renewed_beat] if self.rules.from_before else state.a_s
            held = lease(state)
            held.renewed(begun_s)
            yield f"A reads its beat {renewed_beat}", state._replace(until_s=held._until_s)

    def tells(self, beat: int) -> frozenset[int]:
        """Of what A tells when it begins a beat."""
        return frozenset([beat] if self.rules.told_when_begun else [beat, beat + 1])

    # ---- B -----------------------------------------------------------------------------------------------------------

    def watches(self, state: Timed) -> Iterator[Step]:
        for beat in state.told:
            watch = self.watch(state)
            watch.heard("A", beat)
            left = state.left._replace(hears=state.left.hears - 1)
            told = state.told - {beat} if left.hears else frozenset[int]()
            heard = state._replace(left=left, told=told, watch=self.remembered(state, watch))
            if heard.watch != state.watch:
                yield f"B hears that A has begun beat {beat}", heard
        if state.look is None and state.left.looks:
            looking = state._replace(look=state.cell, left=state.left._replace(looks=state.left.looks - 1))
            yield f"B looks at A/{state.cell.beat}", looking
        if state.look is None:
            return
        watch, seen = self.watch(state), read(state.look)
        if not self.rules.of_that_beat:
            watch._heard = {name: heard._replace(beat=state.look.beat) for name, heard in watch._heard.items()}
        watch.saw(seen.row)
        after = state._replace(look=None, watch=self.remembered(state, watch))
        label = f"B hears of A/{state.look.beat}"
        me = member("B", 2)._replace(has_renewed=True, lease_is_held=True, silent=watch.silent())
        swap = next_swap(seen, me)
        if swap is None or swap.place != PLACE:
            yield label, after
            return
        hasty = state.stalled_at_s is not None and state.b_s < state.stalled_at_s + PATIENCE_S
        wrong = "B has no patience left after a stall" if hasty else None
        declared = after.underway | {(state.look, swap.cell)}
        yield f"{label}, and declares it dead", after._replace(underway=declared, wrong=wrong)

    def watch(self, state: Timed) -> Watch:
        """B's watch, as it is now."""
        watch = Watch(
            PATIENCE_S if self.rules.margin else TTL_S,
            GAP_S if self.rules.no_gaps else float("inf"),
            lambda: state.b_s,
        )
        watch._looked_s, seen, heard = state.watch
        watch._seen, watch._heard = dict(seen), dict(heard)
        return watch

    def remembered(self, state: Timed, watch: Watch) -> Remembered:
        seen: Mapping[str, Any] = {name: one._replace(seen_s=0) for name, one in watch._seen.items()}
        if not self.rules.each_beat:
            before = dict(state.watch[1])
            seen = {
                name: one._replace(since_s=before[name].since_s if name in before else one.since_s)
                for name, one in seen.items()
            }
        return watch._looked_s, tuple(sorted(seen.items(), key=_by_name)), tuple(sorted(watch._heard.items()))


def _by_name(item: tuple[str, object]) -> str:
    return item[0]


def lease(state: Timed) -> Lease:
    """A's lease, as it is now."""
    held = Lease(TTL_S, lambda: state.a_s)
    held._until_s = state.until_s
    return held


def member(name: str, next_beat: int) -> Member:
    """One of the two, both of which are listed."""
    return Member(listed_node(name), "", next_beat, applied=MAP, has_joined=True, was_listed=True)


def read(cell: NodeCell) -> Look:
    return Look(ClusterRow(MapRoot(1, "", ""), {PLACE: cell, OTHER_PLACE: B_CELL}, {}), MAP)
