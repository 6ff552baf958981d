"""The model of the cluster's row: nodes that renew, watch, take over, crash and come back, over a slow store.

What a node is and does next is decided by the functions that ship (rowbox.cacheserver.node.judgement). Steps, in every
order:

- a node reads the row, judges what it read, and sends a swap; with `late_answers` it judges at any later time
- a swap executes: at any time after it was sent, also long after its sender gave up or crashed, or never. No answer of
  a swap is heard: the next read says what stands. (Executing a second time needs no step: a value that was swapped away
  never stands again, so the second time changes nothing. Where a weakened variant brings values back, it stays.)
- a lease lapses; and it comes back, where a renewal that was sent before lands and is read
- a watcher's patience with a silent node ends; a node crashes and starts again as a new incarnation, resigns, meets a
  row that needs a higher map version; an owner begins a write, and confirms it

What is abstracted, and why nothing is lost by it:

- Clocks. The lease counts from before the swap of some beat; who watches that beat has seen it later than that. So with
  `patience` a watcher's count of a beat ends only when no lease that counts from it, or from an earlier one, holds any
  more; and what such a lease is asked for later, it has lapsed. Everything else about time is left open.
- Beats that fail: the next one may begin at any time, so a node that has read may renew first, or go on as if it had.
- Watching: patience may end at the first look already. That is more than a real node does.
- Whether a node reaches the mail: who leaves for it resigns, and who stands back for it takes steps that do not come.

What is checked after every step: no two nodes may answer at once; no map version is owned under by two incarnations;
no incarnation has two cells, or comes back after it has ended; nobody is given a map version that it had before (its
epochs would begin anew); no write is confirmed if somebody else could answer since it was begun.

In a trace A, B, C are the nodes, and B2 is the second incarnation of B; "B2/3" is its beat 3, "map 4: B2" the map.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from rowbox.cacheserver.node.judgement import Member, Role, Swap, TakenIn, next_swap, renewal, take_in
from rowbox.cacheserver.node.tenure import still_needed
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterState, MapCell, NodeCell, own_place
from tests.model.cluster.cluster_row import Call, Left, Life, State, Store, as_read, checked, ends, name_call, put_life
from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules

NODES = "ABC"
Step = tuple[str, State]


class Cluster:
    """The model under `rules`, within `bounds`."""

    def __init__(self, rules: ClusterRules, bounds: ClusterBounds) -> None:
        self.rules, self.bounds = rules, bounds

    def initial(self) -> State:
        left = Left(self.bounds.crashes, self.bounds.stops, self.bounds.raises)
        names = [f"{node}1" for node in NODES[: self.bounds.nodes]]
        if not self.bounds.warm:
            return State(Store(), frozenset(), tuple(map(Life, names)), left)
        cells = tuple((own_place(name), NodeCell(name, 1, "alive", "")) for name in names)
        lives = [Life(name, joined=True, beat=1, lease=1) for name in names]
        lives[0] = lives[0]._replace(version=1)
        return State(
            Store(MapCell(1, names[0], ""), cells), frozenset(), tuple(lives), left, frozenset([(1, names[0])])
        )

    def violation(self, state: State) -> str | None:
        return state.wrong

    def successors(self, state: State) -> Iterator[Step]:
        for label, following in self._steps(state):
            yield label, checked(state, following)

    def _steps(self, state: State) -> Iterator[Step]:
        yield from self._network(state)
        for me, life in enumerate(state.lives):
            if not self.bounds.late_answers:
                yield from self._judges(state, me, life._replace(seen=state.store))
            elif life.seen is None:
                yield f"{life.name} reads", put_life(state, me, life._replace(seen=state.store))
            else:
                yield from self._judges(state, me, life)
            yield from self._happens(state, me, life)

    # ---- the store ---------------------------------------------------------------------------------------------------

    def _network(self, state: State) -> Iterator[Step]:
        for call in state.underway:
            stands = state.store.at(call.place)
            if call.is_blind or stands == call.expected:
                store = state.store.put(call.place, call.cell)
                underway = self._possible(state.underway, store, executed=call)
                ended = state.ended | ends(stands, call.cell)
                yield f"{name_call(call)} executes", state._replace(store=store, underway=underway, ended=ended)

    def _possible(self, calls: Iterable[Call], store: Store, executed: Call | None = None) -> frozenset[Call]:
        """Without those that can never execute any more: what they expect is gone, and only removals bring it back."""
        return frozenset(
            call
            for call in calls
            if (not self.rules.cells_stay and call.expected is None)
            or (call.is_blind and call != executed)
            or store.at(call.place) == call.expected
        )

    def _sent(self, state: State, *calls: Call) -> State:
        return state._replace(underway=self._possible(state.underway | set(calls), state.store))

    # ---- a node ------------------------------------------------------------------------------------------------------

    def _judges(self, state: State, me: int, life: Life) -> Iterator[Step]:
        """Takes in what it read, as Membership does, and sends the swap that is next."""
        assert life.seen is not None
        seen = as_read(life.seen)
        taken_in = self._take_in(life._replace(seen=None), seen)
        state = put_life(state, me, taken_in)
        if not self.rules.cells_stay and taken_in.version and not life.version:
            ended = [place for place, cell in seen.cells.items() if cell.status != "alive"]
            state = self._sent(state, *(Call(place, None, None, is_blind=True) for place in ended))
        yield f"{life.name} judges what it read", state
        for silent in (None, *self._out_of_patience_with(state, me, seen)):
            watched = self._waited(state, silent, seen)
            for has_renewed in (False, True):
                member = self._member(taken_in, has_renewed=has_renewed, silent=silent)
                swap = self._next(seen, member, taken_in)
                is_own = swap is not None and isinstance(swap.cell, NodeCell) and swap.cell.incarnation == life.name
                most_beats = self.bounds.beats + self.bounds.warm
                if swap is None or (is_own and not taken_in.ending and taken_in.beat >= most_beats):
                    continue
                if isinstance(swap.cell, MapCell) and swap.cell.version > self.bounds.versions:
                    continue
                yield self._sends(watched, me, taken_in, seen, member, swap)

    def _take_in(self, life: Life, seen: ClusterState) -> Life:
        taken = self._taken(seen, self._member(life))
        life = life._replace(joined=taken.has_joined)
        if life.ending and not self.rules.end_before_stop and not seen.has_ended(life.name):
            return life
        if taken.role is Role.REPLACED:
            life = life._replace(ending=True, lease=0, version=0, writing=0)
        beat = taken.renewed_beat if self.rules.standing_beat else life.beat
        if taken.renewed_beat and beat > life.over:
            life = life._replace(lease=max(life.lease, beat))
        if taken.given_version:
            needed, again = still_needed(life.needed, taken.given_version), taken.given_version <= life.version
            life = life._replace(version=taken.given_version, needed=needed, begins_anew=again)
        return life

    def _taken(self, seen: ClusterState, me: Member) -> TakenIn:
        if self.rules.own_cell or me.is_ending:
            return take_in(seen, me)
        own, named = seen.cell_of(me.incarnation), seen.map
        is_named = named is not None and named.owner == me.incarnation
        return TakenIn(
            Role.OWNER if is_named or me.owned_version else Role.STANDBY,
            me.has_joined or own is not None,
            own.beat if own is not None and own.status == "alive" else 0,
            named.version if is_named and named is not None and named.version > me.owned_version else 0,
        )

    def _next(self, seen: ClusterState, me: Member, life: Life) -> Swap | None:
        own, place = seen.cell_of(me.incarnation), seen.place_of(me.incarnation)
        named = seen.map
        if life.in_hand is not None:
            if not seen.has_ended(life.in_hand.owner):
                return None
            return Swap(MAP_PLACE, MapCell(life.in_hand.version + 1, me.incarnation, ""))
        if not self.rules.own_cell and own is not None and place is not None and own.status != "alive":
            return Swap(place, replace(own, beat=me.next_beat, status="alive"))
        if not self.rules.only_from_the_ended and me.has_renewed and own is not None and not me.owned_version:
            version = 1 if named is None else named.version + 1
            return Swap(MAP_PLACE, MapCell(version, me.incarnation, ""))
        if not self.rules.cells_stay and own is None and not me.has_joined:
            return Swap(own_place(me.incarnation), NodeCell(me.incarnation, me.next_beat, "alive", ""))
        return next_swap(seen, me)

    def _sends(self, state: State, me: int, life: Life, seen: ClusterState, member: Member, swap: Swap) -> Step:
        expected = seen.map if swap.place == MAP_PLACE else seen.cells.get(swap.place)
        cell, calls = swap.cell, [Call(swap.place, expected, swap.cell)]
        life = life._replace(in_hand=None)
        if isinstance(cell, MapCell):
            if not self.rules.map_read_back:
                life = life._replace(version=cell.version)
        elif cell.incarnation == life.name:
            renewed = renewal(seen, member, swap)
            if renewed is not None:
                life = life._replace(beat=renewed.beat, first_place=renewed.first_place)
                if not self.rules.renewal_read_back:
                    life = life._replace(lease=renewed.beat)
        else:
            calls = [call._replace(is_blind=not self.rules.unchanged_cell) for call in calls]
            is_owner = seen.map is not None and seen.map.owner == cell.incarnation
            if is_owner and not self.rules.judged_anew:
                life = life._replace(in_hand=seen.map)
            if is_owner and not self.rules.death_read_back and seen.map is not None:
                calls.append(Call(MAP_PLACE, seen.map, MapCell(seen.map.version + 1, life.name, "")))
        label = f"{life.name} sends {', '.join(map(name_call, calls))}"
        return label, self._sent(put_life(state, me, life), *calls)

    def _member(self, life: Life, *, has_renewed: bool = False, silent: str | None = None) -> Member:
        return Member(
            life.name,
            "",
            life.beat + 1,
            has_joined=life.joined,
            has_renewed=has_renewed,
            is_ending=life.ending,
            owned_version=life.version,
            needed_above=life.needed,
            lease_is_held=life.lease > 0,
            silent=() if silent is None else (silent,),
            first_place=life.first_place if self.rules.one_first_place else None,
        )

    # ---- time, and what happens to a node ----------------------------------------------------------------------------

    def _out_of_patience_with(self, state: State, me: int, seen: ClusterState) -> Iterator[str]:
        """Whose silence may have lasted for ttl + margin."""
        running = {life.name: life for life in state.lives}
        for cell in seen.cells.values():
            life = running.get(cell.incarnation)
            holds = life is not None and 0 < life.lease <= cell.beat
            is_other = cell.status == "alive" and cell.incarnation != state.lives[me].name
            if is_other and not (holds and self.rules.patience):
                yield cell.incarnation

    def _waited(self, state: State, silent: str | None, seen: ClusterState) -> State:
        """After so long a lease from the beat that was watched is over, whenever its owner asks."""
        cell = None if silent is None else seen.cell_of(silent)
        if cell is None or not self.rules.patience:
            return state
        lives = tuple(
            life._replace(over=max(life.over, cell.beat)) if life.name == silent else life for life in state.lives
        )
        return state._replace(lives=lives)

    def _happens(self, state: State, me: int, life: Life) -> Iterator[Step]:
        left = state.left
        if life.lease:
            lapsed = life._replace(lease=0, over=max(life.over, life.lease))
            yield f"{life.name}'s lease lapses", put_life(state, me, lapsed)
        if left.crashes:
            name = f"{life.name[0]}{int(life.name[1:]) + 1}" if self.rules.new_incarnation else life.name
            again = Life(name, beat=0 if self.rules.new_incarnation else life.beat)
            yield (
                f"{life.name} crashes, {name} starts",
                put_life(state, me, again)._replace(
                    left=left._replace(crashes=left.crashes - 1), given=self._kept(state, life)
                ),
            )
        if left.stops and life.joined and not life.ending:
            ending = life._replace(ending=True)
            if self.rules.end_before_stop:
                ending = ending._replace(lease=0, version=0, writing=0)
            yield f"{life.name} resigns", put_life(state, me, ending)._replace(left=left._replace(stops=left.stops - 1))
        if left.raises and life.version and not life.needed:
            needy = life._replace(needed=life.version)
            yield (
                f"{life.name} meets a fence",
                put_life(state, me, needy)._replace(left=left._replace(raises=left.raises - 1)),
            )
        if self.bounds.writes and life.may_answer:
            if not life.writing:
                yield f"{life.name} begins a write", put_life(state, me, life._replace(writing=1))
            else:
                wrong = "a write is confirmed over another's tenure" if life.writing == 2 else None
                confirmed = put_life(state, me, life._replace(writing=0))
                yield f"{life.name} confirms its write", confirmed._replace(wrong=wrong)

    def _kept(self, state: State, life: Life) -> frozenset[tuple[int, str]]:
        """Without new names, what an earlier life owned under is another's all the same."""
        if self.rules.new_incarnation:
            return state.given
        return frozenset((version, f"{name}, before" if name == life.name else name) for version, name in state.given)
