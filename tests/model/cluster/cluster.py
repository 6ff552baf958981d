"""The model of the cluster's row: nodes that renew, watch, plan, move shards, crash and come back, over a slow store.

What a node is and does next is decided by the functions that ship (rowbox.cacheserver.node.judgement, move_rules).
Steps, in every order:

- a node reads the row, judges what it read, and sends a swap of a cell or of the map; with `late_answers` it judges at
  any later time
- a swap executes: at any time after it was sent, also long after its sender gave up or crashed, or never. No answer of
  a swap is heard: the next read says what stands. (Executing a second time needs no step: a value that was swapped away
  never stands again, so the second time changes nothing. Where a weakened variant brings values back, it stays.)
- an operator has the map move a shard; its owner gives it away, takes it back, or tries again, each time by what the
  map's cell says then, which it may know before the rest of the node does
- a lease lapses; and it comes back, where a renewal that was sent before lands and is read
- a watcher's patience with a silent node ends; a node crashes and starts again as a new incarnation, resigns, meets a
  row that needs a higher map version; an owner begins a write, and confirms it; the row is put back from a copy

What is abstracted, and why nothing is lost by it:

- Clocks. The lease counts from before the swap of some beat; who watches that beat has seen it later than that. So with
  `patience` a watcher's count of a beat ends only when no lease that counts from it, or from an earlier one, holds any
  more; and what such a lease is asked for later, it has lapsed. Everything else about time is left open: also whose
  turn it is to plan, and how long everybody waits for those who have ended to come back.
- Beats that fail: the next one may begin at any time, so a node that has read may renew first, or go on as if it had.
- Watching: patience may end at the first look already. That is more than a real node does.
- Whether a node reaches the mail: who leaves for it resigns, and who stands back for it takes steps that do not come.
- A map's body, which the cell names: bodies.py has its own model, of which this one takes that a read of a cell finds
  the map that was meant, or nothing, and then reads again.
- What a plan is for: a steward has one of several plans, and none of them is a good one.

What is checked after every step: no two incarnations may answer for one shard at once; no grant (shard, since) is ever
two incarnations', and none is given to one that had it before (its epochs would begin anew); a change of the map leaves
the grants of all others alone that live; no incarnation has two cells, or comes back after it has ended; no write is
confirmed if somebody else could answer since it was begun. healing.py asks whether every state comes to a good end.

In a trace A, B, C are the nodes, and B2 is the second incarnation of B; "B2/3" is its beat 3; "map 4: A@1 B2@4>C1" is
the map in which the first shard is A's since version 1, and the second is B2's since 4, on the move to C1.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from rowbox.cacheserver.node.judgement import (
    Look,
    Member,
    Role,
    Swap,
    TakenIn,
    carried_over,
    has_ended,
    next_swap,
    places_to_read,
    plan_input,
    raised,
    renewal,
    take_in,
)
from rowbox.cacheserver.node.move_rules import gives_away, is_decided, takes_back
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, NodeCell, own_place
from tests.model.cluster.cluster_map import NONE, Map, listed_node, model_map, no_map, plans, shipped_map
from tests.model.cluster.cluster_row import (
    Call,
    Left,
    Life,
    Mover,
    State,
    Store,
    changes_wrongly,
    checked,
    ends,
    look_of,
    name_call,
    name_map,
    put_life,
)
from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules

NODES = "ABCD"
LOST = "?0"
"""Who is listed after a restore: an incarnation that never lived, of a node that nobody has."""
Step = tuple[str, State]


class Option(NamedTuple):
    """What a node may do with what it has read."""

    label: str
    life: Life
    calls: tuple[Call, ...] = ()
    has_waited: bool = False
    """Whether it does so after everybody has waited for those who have ended."""


class Cluster:
    """The model under `rules`, within `bounds`."""

    def __init__(self, rules: ClusterRules, bounds: ClusterBounds) -> None:
        self.rules, self.bounds = rules, bounds
        self._known: dict[tuple[Life, Store, str | None], tuple[Option, ...]] = {}

    def initial(self) -> State:
        bounds = self.bounds
        left = Left(bounds.crashes, bounds.stops, bounds.raises, bounds.moves, bounds.restores)
        names = tuple(f"{node}1" for node in NODES[: bounds.nodes])
        nothing = no_map(bounds.shards)
        joined, others = names[: bounds.joined], names[bounds.joined :]
        if not joined:
            return State(Store(nothing), frozenset(), tuple(map(Life, names)), left)
        owners = tuple(joined[shard % bounds.owners] for shard in range(bounds.shards))
        standing = Map(1, joined, owners, (1,) * bounds.shards, nothing.moving_to)
        store = Store(standing, tuple((own_place(name), self._cell(name, 1)) for name in joined))
        begun = (Life(name, joined=True, listed=True, beat=1, lease=1, applied=standing, newest=1) for name in joined)
        lives = (*(self._looking(life, store) for life in begun), *map(Life, others))
        given = frozenset((shard, 1, owner) for shard, owner in enumerate(owners))
        return State(store, frozenset(), lives, left, given)

    def violation(self, state: State) -> str | None:
        return state.wrong

    def successors(self, state: State) -> Iterator[Step]:
        for label, following in self._steps(state):
            yield label, self._without_the_useless(checked(state, following))

    def _without_the_useless(self, state: State) -> State:
        """A lease that counts from a beat which will never be read again is not asked for whether it is over."""
        if self.bounds.late_answers or not self.rules.cells_stay or not any(life.over for life in state.lives):
            return state
        beats = {cell.incarnation: cell.beat for _, cell in state.store.cells}
        lives = tuple(
            life._replace(over=0) if life.over and life.over < beats.get(life.name, 0) else life for life in state.lives
        )
        return state._replace(lives=lives)

    def _steps(self, state: State) -> Iterator[Step]:
        yield from self._network(state)
        yield from self._operator(state)
        for me, life in enumerate(state.lives):
            if not self.bounds.late_answers:
                yield from self._judges(state, me, life, state.store)
            elif life.seen is None:
                yield f"{life.name} reads", put_life(state, me, life._replace(seen=state.store))
            else:
                yield from self._judges(state, me, life._replace(seen=None), life.seen)
            yield from self._moves(state, me, life)
            yield from self._happens(state, me, life)

    # ---- the store ---------------------------------------------------------------------------------------------------

    def _network(self, state: State) -> Iterator[Step]:
        for call in state.underway:
            stands = state.store.at(call.place)
            if call.is_blind or stands == call.expected:
                yield f"{name_call(call)} executes", self._executed(state, call)

    def _executed(self, state: State, call: Call) -> State:
        stands = state.store.at(call.place)
        store = state.store.put(call.place, call.cell)
        underway = self._possible(state.underway, store, executed=call)
        return state._replace(store=store, underway=underway, ended=state.ended | ends(stands, call.cell))

    def _possible(self, calls: Iterable[Call], store: Store, executed: Call | None = None) -> frozenset[Call]:
        """Without those that can never execute any more: what they expect is gone, and only removals bring it back."""
        return frozenset(
            call
            for call in calls
            if (not self.rules.cells_stay and call.expected is None)
            or (call.is_blind and call != executed)
            or store.at(call.place) == call.expected
        )

    def _sent(self, state: State, calls: Iterable[Call], by: str) -> State:
        wrong = state.wrong
        for call in calls:
            if isinstance(call.expected, Map) and isinstance(call.cell, Map) and self.rules == ClusterRules():
                wrong = wrong or changes_wrongly(call.expected, call.cell, by, state.ended)
        return state._replace(underway=self._possible(state.underway.union(calls), state.store), wrong=wrong)

    def _operator(self, state: State) -> Iterator[Step]:
        left, standing = state.left, state.store.map
        if left.restores:
            version = standing.version + 1
            shards = len(standing.owners)
            lost = Map(version, (LOST,), (LOST,) * shards, (version,) * shards, (NONE,) * shards)
            underway = self._possible(state.underway, state.store._replace(map=lost))
            yield (
                "the row is put back",
                state._replace(
                    store=state.store._replace(map=lost),
                    underway=underway,
                    left=left._replace(restores=left.restores - 1),
                    restored=tuple(life.beat for life in state.lives),
                    ended=state.ended | {LOST},
                ),
            )
        if not left.moves or standing.version >= self.bounds.versions:
            return
        for shard, owner in enumerate(standing.owners):
            for target in standing.listed if owner else ():
                if target not in {owner, standing.moving_to[shard]}:
                    moved = model_map(shipped_map(standing).next().sending([shard], target))
                    asked = self._executed(state, Call(MAP_PLACE, standing, moved))
                    yield f"operator: {name_map(moved)}", asked._replace(left=left._replace(moves=left.moves - 1))

    # ---- a node judges -----------------------------------------------------------------------------------------------

    def _judges(self, state: State, me: int, life: Life, seen: Store) -> Iterator[Step]:
        """Takes in what it read, as Membership does, and sends a swap that is next."""
        for silent in (None, *self._out_of_patience_with(state, me, seen)):
            watched = self._waited(state, silent, seen)
            for option in self._options(life, seen, silent):
                waited = watched
                if option.has_waited and state.restored and self.rules.restore_waits:
                    if not _all_have_waited(watched):
                        continue
                    waited = _after_the_wait(watched)
                option_life = option.life
                if waited is not state:
                    option_life = option_life._replace(over=max(option_life.over, waited.lives[me].over))
                yield option.label, self._sent(put_life(waited, me, option_life), option.calls, life.name)

    def _options(self, life: Life, seen: Store, silent: str | None) -> tuple[Option, ...]:
        """Pure, and asked for many times."""
        key = life, seen, silent
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = tuple(self._judged(*key))
        return known

    def _judged(self, life: Life, seen: Store, silent: str | None) -> Iterator[Option]:
        life, look = self.look(life, seen)
        after = self.take_in(life, look, seen)
        if silent is not None:
            yield from self._buries(after, look, seen, silent)
            return
        removals: tuple[Call, ...] = ()
        if not self.rules.cells_stay and after.held and not life.held:
            ended = [place for place, cell in seen.cells if cell.has_ended]
            removals = tuple(Call(place, None, None, is_blind=True) for place in ended)
        yield Option(f"{life.name} judges what it read", after, removals)
        if not self.rules.applied_before_renewal:
            no_map_seen = look._replace(row=look.row._replace(map=None))
            renewed = self.take_in(life, no_map_seen, seen)
            yield Option(f"{life.name} renews its lease before it applies the map", renewed)
        yield from self._renews(after, look, seen)
        for label, changed, has_waited in self._changes(after, look, seen):
            if changed.version > self.bounds.versions:
                continue
            call = Call(MAP_PLACE, seen.map, changed, not self.rules.swapped_over_what_was_judged)
            sender = after
            if not self.rules.map_read_back:
                sender = _applied(sender, changed)
            if not self.rules.rebuilt or self.bounds.carries:
                sender = sender._replace(in_hand=changed)
            yield Option(f"{life.name} {label} {name_call(call)}", sender, (call,), has_waited)

    def look(self, life: Life, seen: Store) -> tuple[Life, Look]:
        """The look on which it judges: at the places that it has to read, or at all of the row where these say so."""
        look = look_of(seen, life.places)
        if life.places is not None and not self.rules.absent_has_ended_in_whole_looks:
            look = look._replace(is_whole=True)
        elif life.places is not None and places_to_read(look, self.member(life)) is None:
            look = look_of(seen, None)
        return self._looking(life, seen, look), look

    def _looking(self, life: Life, seen: Store, look: Look | None = None) -> Life:
        """With the places that its next look has to read."""
        if self.bounds.stewards >= self.bounds.nodes:
            return life
        return life._replace(places=places_to_read(look or look_of(seen, None), self.member(life)))

    def take_in(self, life: Life, look: Look, seen: Store) -> Life:
        taken = self._taken(look, self.member(life))
        life = life._replace(joined=taken.has_joined, first_place=None if taken.has_joined else life.first_place)
        if life.in_hand == seen.map:
            life = life._replace(in_hand=None)
        if life.ending and not self.rules.end_before_stop and not has_ended(look, life.name):
            return life
        if taken.role is Role.REPLACED:
            return _ended(life)
        applies = taken.applies or (
            not self.rules.rising_maps and life.applied is not None and seen.map != life.applied and seen.map.version
        )
        if applies:
            life = _applied(life, seen.map)
        beat = taken.renewed_beat if self.rules.standing_beat else life.beat
        if taken.renewed_beat and beat > life.over:
            life = life._replace(lease=max(life.lease, beat))
        return life

    def _taken(self, look: Look, me: Member) -> TakenIn:
        if self.rules.own_cell or me.is_ending:
            return take_in(look, me)
        own = look.row.cell_of(me.name)
        beat = own.beat if own is not None and not own.has_ended else 0
        applied = 0 if me.applied is None else me.applied.version
        return TakenIn(Role.LISTED, me.has_joined or own is not None, beat, look.map.version > applied)

    def _renews(self, life: Life, look: Look, seen: Store) -> Iterator[Option]:
        """The swap of its own cell."""
        member = self.member(life)
        swap = self._next_swap(look, member)
        if swap is None or (not life.ending and life.beat > self.bounds.beats):
            return
        renewed = renewal(look, member, swap)
        if renewed is not None:
            life = life._replace(beat=renewed.beat, first_place=None if life.joined else renewed.first_place)
            if not self.rules.renewal_read_back:
                life = life._replace(lease=renewed.beat)
        call = Call(swap.place, seen.at(swap.place), swap.cell)
        yield Option(f"{life.name} sends {name_call(call)}", life, (call,))

    def _next_swap(self, look: Look, me: Member) -> Swap | None:
        own, place = look.row.cell_of(me.name), look.row.place_of(me.name)
        if not self.rules.own_cell and own is not None and place is not None and own.has_ended:
            return Swap(place, replace(own, beat=me.next_beat, status="alive"))
        if not self.rules.cells_stay and own is None and not me.has_joined:
            return Swap(own_place(me.name), self._cell(me.name, me.next_beat))
        return next_swap(look, me)

    def _buries(self, life: Life, look: Look, seen: Store, silent: str) -> Iterator[Option]:
        """The swap by which it declares a silent one dead."""
        swap = next_swap(look, self.member(life, has_renewed=True, silent=silent))
        if swap is None or swap.cell.incarnation != silent:
            return
        calls = [Call(swap.place, seen.at(swap.place), swap.cell, not self.rules.unchanged_cell)]
        if not (self.rules.judged_anew and self.rules.death_read_back):
            hasty = seen.put(swap.place, swap.cell)
            for _, changed, _ in self._planned(life, look_of(hasty, None), hasty):
                if not self.rules.judged_anew:
                    life = life._replace(in_hand=changed)
                if not self.rules.death_read_back and changed.version <= self.bounds.versions:
                    calls.append(Call(MAP_PLACE, seen.map, changed))
        yield Option(f"{life.name} sends {', '.join(map(name_call, calls))}", life, tuple(calls))

    # ---- the map -----------------------------------------------------------------------------------------------------

    def _changes(self, life: Life, look: Look, seen: Store) -> Iterator[tuple[str, Map, bool]]:
        """The maps that it may swap in next: what it does, the map, and whether it has waited for those who ended."""
        if life.in_hand is not None and life.in_hand != seen.map:
            if not self.rules.judged_anew and life.in_hand.version <= seen.map.version:
                yield "goes on with", life.in_hand, False
            if not self.rules.rebuilt and life.in_hand.version <= seen.map.version:
                yield "sends again", life.in_hand._replace(version=seen.map.version + 1), False
            if self.bounds.carries:
                yield from self._carried(life, look)
        higher = raised(look, self.member(life))
        if higher is not None:
            yield "raises", model_map(higher), False
        yield from self._planned(life, look, seen)

    def _carried(self, life: Life, look: Look) -> Iterator[tuple[str, Map, bool]]:
        given = plan_input(look, self.member(life))
        assert life.in_hand is not None
        carried = None if given is None else carried_over(shipped_map(life.in_hand), given)
        if carried is not None:
            yield "carries over", model_map(carried), False

    def _planned(self, life: Life, look: Look, seen: Store) -> Iterator[tuple[str, Map, bool]]:
        others = tuple(cell.incarnation for cell in look.row.cells.values() if cell.incarnation != life.name)
        found = set()
        for has_waited in (False, True):
            for lively in {others, ()}:
                member = self.member(life)._replace(lively=lively, has_waited=has_waited)
                given = plan_input(look, member)
                for planned in plans(given, self.bounds.plans) if given is not None else ():
                    changed = self._with_since(seen.map, model_map(planned))
                    if changed not in found:
                        found.add(changed)
                        yield "plans", changed, has_waited
        if not self.rules.only_from_the_ended and seen.map.version and look.map.node(life.name) is not None:
            version = seen.map.version + 1
            taken = (life.name,) * len(seen.map.owners)
            yield "takes", seen.map._replace(version=version, owners=taken, since=(version,) * len(taken)), False

    def _with_since(self, stands: Map, changed: Map) -> Map:
        return changed if self.rules.since_is_raised else changed._replace(since=stands.since)

    # ---- moves -------------------------------------------------------------------------------------------------------

    def _moves(self, state: State, me: int, life: Life) -> Iterator[Step]:
        """What its mover does, which reads the map's cell alone; and that it may apply what it read there."""
        mover, standing = life.mover, state.store.map
        if not self.bounds.moves and self.bounds.plans:
            return
        is_newer = life.applied is not None and standing.version > life.applied.version
        if is_newer and not life.ending and (self.bounds.late_answers or life.mover is not None):
            yield f"{life.name} learns {name_map(standing)}", put_life(state, me, _applied(life, standing))
        if mover is None:
            if life.applied is not None and not life.ending:
                held = life.held
                for target, shards in shipped_map(life.applied).leaving(life.name).items():
                    begun = Mover(tuple((shard, held[shard]) for shard in shards), target, 0)
                    yield from self._gives_away(state, me, life, begun)
            return
        if is_decided(mover.sent_over, shipped_map(standing)):
            yield from self._gives_away(state, me, life, mover)
        back = takes_back(shipped_map(standing), life.name, dict(mover.grants))
        if back is not None and standing.version < self.bounds.versions:
            kept = life._replace(mover=mover._replace(sent_over=standing.version))
            call = Call(MAP_PLACE, standing, model_map(back))
            yield f"{life.name} takes back {name_call(call)}", self._sent(put_life(state, me, kept), [call], life.name)
        is_over = life.applied is not None and is_decided(mover.sent_over, shipped_map(life.applied))
        if is_over or not self.rules.closed_until_decided:
            yield f"{life.name} answers again", put_life(state, me, life._replace(mover=None))

    def _gives_away(self, state: State, me: int, life: Life, mover: Mover) -> Iterator[Step]:
        standing, grants = state.store.map, dict(mover.grants)
        given = gives_away(shipped_map(standing), life.name, grants, mover.target, None)
        if not self.rules.grants_stand and mover.target in standing.listed:
            given = shipped_map(standing).next().giving(grants, mover.target)
        if given is None or standing.version >= self.bounds.versions:
            return
        changed = self._with_since(standing, model_map(given))
        sent = life._replace(mover=mover._replace(sent_over=standing.version))
        call = Call(MAP_PLACE, standing, changed)
        yield f"{life.name} gives away {name_call(call)}", self._sent(put_life(state, me, sent), [call], life.name)

    # ---- what a node knows -------------------------------------------------------------------------------------------

    def member(self, life: Life, *, has_renewed: bool = False, silent: str | None = None) -> Member:
        return Member(
            listed_node(life.name),
            "",
            life.beat + 1,
            applied=None if life.applied is None else shipped_map(life.applied),
            needed_above=dict(life.needed),
            has_joined=life.joined,
            was_listed=life.listed,
            has_renewed=has_renewed,
            is_ending=life.ending,
            lease_is_held=life.lease > 0,
            silent=() if silent is None else (silent,),
            first_place=life.first_place if self.rules.one_first_place else None,
            stewards=self.bounds.stewards,
        )

    def _cell(self, name: str, beat: int) -> NodeCell:
        return NodeCell(name, beat, "alive", "", node_id=name[0])

    # ---- time, and what happens to a node ----------------------------------------------------------------------------

    def _out_of_patience_with(self, state: State, me: int, seen: Store) -> Iterator[str]:
        """Whose silence may have lasted for ttl + margin."""
        alive = {life.name: life for life in state.lives}
        places = state.lives[me].places
        for place, cell in seen.cells:
            life = alive.get(cell.incarnation)
            holds = life is not None and 0 < life.lease <= cell.beat
            is_other = not cell.has_ended and cell.incarnation != state.lives[me].name
            is_watched = places is None or place in places
            if is_other and is_watched and not (holds and self.rules.patience):
                yield cell.incarnation

    def _waited(self, state: State, silent: str | None, seen: Store) -> State:
        """After so long a lease from the beat that was watched is over, whenever its owner asks."""
        if silent is None or not self.rules.patience:
            return state
        beat = next(cell.beat for _, cell in seen.cells if cell.incarnation == silent)
        lives = tuple(life._replace(over=max(life.over, beat)) if life.name == silent else life for life in state.lives)
        return state._replace(lives=lives)

    def _happens(self, state: State, me: int, life: Life) -> Iterator[Step]:
        left = state.left
        if life.lease:
            lapsed = life._replace(lease=0, over=max(life.over, life.lease))
            yield f"{life.name}'s lease lapses", put_life(state, me, lapsed)
        if left.crashes:
            name = f"{life.name[0]}{int(life.name[1:]) + 1}" if self.rules.new_incarnation else life.name
            again = Life(name, beat=0 if self.rules.new_incarnation else life.beat)
            crashed = put_life(state, me, again)._replace(left=left._replace(crashes=left.crashes - 1))
            yield f"{life.name} crashes, {name} starts", crashed
        if left.stops and life.joined and not life.ending:
            ending = _ended(life) if self.rules.end_before_stop else life._replace(ending=True)
            yield f"{life.name} resigns", put_life(state, me, ending)._replace(left=left._replace(stops=left.stops - 1))
        if left.raises and life.held and not life.needed:
            shard, since = min(life.held.items())
            met = put_life(state, me, life._replace(needed=((shard, since),)))
            yield f"{life.name} meets a fence", met._replace(left=left._replace(raises=left.raises - 1))
        if self.bounds.writes and 0 in life.answers:
            if not life.writing:
                yield f"{life.name} begins a write", put_life(state, me, life._replace(writing=1))
            else:
                wrong = "a write is confirmed over another's tenure" if life.writing == 2 else None
                confirmed = put_life(state, me, life._replace(writing=0))
                yield f"{life.name} confirms its write", confirmed._replace(wrong=wrong)


def _ended(life: Life) -> Life:
    """It answers nothing any more. Its mover may still be at work: what that does, the map's cell has to refuse."""
    return life._replace(ending=True, lease=0, over=0, applied=None, needed=(), writing=0, places=None)


def _applied(life: Life, value: Map) -> Life:
    held = life.held
    listed = life.listed or life.name in value.listed
    life = life._replace(applied=value, newest=max(life.newest, value.version), listed=listed)
    kept = life.held
    needed = tuple((shard, above) for shard, above in life.needed if shard in kept and kept[shard] <= above)
    return life._replace(needed=needed, writing=0 if held.get(0) != kept.get(0) else life.writing)


def _all_have_waited(state: State) -> bool:
    """Whether no lease holds any more that counts from a beat before the row was put back."""
    return not any(0 < life.lease <= beat for life, beat in zip(state.lives, state.restored, strict=True))


def _after_the_wait(state: State) -> State:
    lives = tuple(
        life._replace(over=max(life.over, beat)) for life, beat in zip(state.lives, state.restored, strict=True)
    )
    return state._replace(lives=lives, restored=())
