"""The model of one row that moves: its owner gives it away while it lives, with what it has in memory (the warm claim).

    the owner closes            it takes nothing new for the row; what is in flight ends
    it hands over               the mailbox, under an id that no other attempt has, on its way to the other process
    it sends the swap           the map's next version names the other process and the id; it may execute at any time
    the other reads the map     it owns the row; what came under the id that the map names is its mailbox, and one put
                                of the fence claims the row: no read

It may also be that the owner changes its mind. Before the swap was sent it opens again. After that it takes the row
back by a swap of its own, or reads that the other one has it; until then it answers nothing, because the swap may have
executed, or may yet.

The steps of one_row.py stand beside these: lapsed leases, takeovers, restarts, late and repeated calls, unknown
outcomes. A hand-over that was sent arrives at any later time, any number of times. A swap that was sent is under way
for ever, and does something only while the version that it expects stands.

What is abstracted beyond one_row.py: a process learns at one moment which version names it and under which id (one
read of the map); that no two versions are alike is for cluster.py to search.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from rowbox.mailbox.fence import make_epoch
from tests.model.moves import shipped_moves
from tests.model.rows import owner
from tests.model.rows.names import PROCESSES, name_call, name_history
from tests.model.rows.one_row import OneRow
from tests.model.rows.owner import Mailbox
from tests.model.rows.rules import Bounds, Rules
from tests.model.rows.state import Process, State, owns, put_process, with_t

T = TypeVar("T")


class MoveRules(NamedTuple):
    """The rules of a move, one field for each. ``MoveRules(closes=False)`` is the protocol without that rule."""

    closes: bool = True
    """A mailbox is handed over by an owner that serves nothing any more. Else: it goes on until it sends the swap."""
    what_is_in_flight_ends: bool = True
    """... and waits for no call any more. Else: a call may be in flight."""
    closed_until_known: bool = True
    """After the swap was sent, the owner stays closed until another version stands. Else: it may open again."""
    the_map_names_the_id: bool = True
    """What came under the id that the map names is used. Else: whatever came."""
    used_once: bool = True
    """What came is gone when a claim is sent. Else: it is there for the next claim, too."""
    taken_before_ownership: bool = True
    """What comes once the process knows that it owns the row is thrown away. Else: it is taken at any time."""
    claims: bool = True
    """The new owner's fence is written before it serves. Else: it serves with what came, and claims at a later load."""


ALL = MoveRules()


class HandOver(NamedTuple):
    """What is on its way to process `to`."""

    to: int
    id: int
    mailbox: Mailbox


class Swap(NamedTuple):
    """Names process `to`, in its life `life`, and the hand-over `id` in the map, if the version is still `expected`."""

    expected: int
    to: int
    life: int
    id: int


class Mover(NamedTuple):
    """A process that is giving away the row that it has since map version `granted`."""

    granted: int
    id: int = 0
    """The id of the hand-over; 0: nothing was handed over yet."""
    swapped: bool = False
    """Whether the process has sent the swap."""
    kept: int = 0
    """The version in which it has taken the row back; 0: it has not."""


class Moving(NamedTuple):
    """All that a move adds to the state; pairs are of the two processes."""

    movers: tuple[Mover | None, Mover | None] = (None, None)
    came: tuple[HandOver | None, HandOver | None] = (None, None)
    """What each process has of hand-overs."""
    known_ids: tuple[int, int] = (0, 0)
    """The id that the map named when the process read that it owns the row."""
    lives: tuple[int, int] = (0, 0)
    """How often each process has restarted: the map names an incarnation, and not who comes after it."""
    named: int = 0
    """The id that the standing map names; 0: it ends no move."""
    named_life: int = 0
    """Of the process that the map names, where it ends a move: which life."""
    sent: frozenset[HandOver] = frozenset()
    swaps: frozenset[Swap] = frozenset()
    ids: int = 0
    """How many ids were drawn so far."""
    left: int = 1
    """Moves that may still begin."""


class MoveState(NamedTuple):
    at: State
    moving: Moving


Step = tuple[str, MoveState]


class Moves:
    """The model under `rules` and `move_rules`, within `bounds` and so many `moves`."""

    def __init__(self, rules: Rules, bounds: Bounds, move_rules: MoveRules = ALL, moves: int = 1) -> None:
        self.rules, self.move_rules, self.moves = rules, move_rules, moves
        self.one_row = OneRow(rules, bounds)

    def initial(self) -> MoveState:
        return MoveState(self.one_row.initial(), Moving(left=self.moves))

    def violation(self, state: MoveState) -> str | None:
        return self.one_row.violation(state.at)

    def successors(self, state: MoveState) -> Iterator[Step]:
        one_row, at = self.one_row, state.at
        yield from _within(state, one_row.network(at))
        yield from _within(state, one_row.time(at))
        yield from self.swaps(state)
        for me, process in enumerate(at.processes):
            yield from self.cluster(state, me)
            yield from self.arrives(state, me)
            yield from self.reads_the_map(state, me)
            if not process.granted:
                continue
            yield from _within(state, one_row.waiting(at, me))
            yield from self.moves_away(state, me)
            if self.is_open(state, me):
                yield from _within(state, one_row.serving(at, me))
                for label, following in _within(state, one_row.starting(at, me)):
                    yield label, self.used(following, me) if _claims(following, me) else following
                yield from self.warm_claim(state, me)

    def is_open(self, state: MoveState, me: int) -> bool:
        """Whether the process takes requests for the row, as far as moves go."""
        mover = state.moving.movers[me]
        return mover is None or (not self.move_rules.closes and not mover.swapped)

    # ---- the map -----------------------------------------------------------------------------------------------------

    def cluster(self, state: MoveState, me: int) -> Iterator[Step]:
        """Leases, restarts and takeovers. A version that ends no move names no id; a restart forgets everything."""
        for label, following in _within(state, self.one_row.cluster(state.at, me)):
            moving = following.moving
            if following.at.world.map_version != state.at.world.map_version:
                moving = moving._replace(named=0, known_ids=_put(moving.known_ids, me, 0))
            if state.at.processes[me].granted and not following.at.processes[me].granted:
                moving = moving._replace(
                    movers=_put(moving.movers, me, None),
                    came=_put(moving.came, me, None),
                    lives=_put(moving.lives, me, moving.lives[me] + 1),
                )
            yield label, following._replace(moving=moving)

    def swaps(self, state: MoveState) -> Iterator[Step]:
        at, moving = state
        for swap in moving.swaps:
            if at.world.map_version == swap.expected:
                world = at.world._replace(map_version=swap.expected + 1, owner=swap.to)
                label = f"the map's version {swap.expected + 1} names {PROCESSES[swap.to]} and the hand-over {swap.id}"
                yield label, MoveState(at._replace(world=world), moving._replace(named=swap.id, named_life=swap.life))

    def reads_the_map(self, state: MoveState, me: int) -> Iterator[Step]:
        """A process learns that it owns the row, or, as a mover, that it does so no more."""
        at, moving = state
        process, mover, world = at.processes[me], moving.movers[me], at.world
        if world.owner == me and process.granted < world.map_version and process.lease and mover is None:
            given = put_process(at, me, process._replace(granted=world.map_version, mailbox=None))
            known = moving._replace(known_ids=_put(moving.known_ids, me, moving.named))
            if process.call is None and _was_named_by_a_move(state, me):
                yield f"{PROCESSES[me]} reads that it owns the row", MoveState(given, known)
        is_kept = mover is not None and mover.kept == world.map_version
        if mover is not None and not is_kept and shipped_moves.is_decided(mover.granted, world.map_version):
            gone = put_process(at, me, process._replace(granted=0, mailbox=None, call=None, executed=False, then=None))
            known = moving._replace(movers=_put(moving.movers, me, None))
            if process.call is None:
                yield f"{PROCESSES[me]} reads that the row is not its own any more", MoveState(gone, known)

    # ---- the owner that gives the row away ---------------------------------------------------------------------------

    def moves_away(self, state: MoveState, me: int) -> Iterator[Step]:
        at, moving = state
        process, mover, name, there = at.processes[me], moving.movers[me], PROCESSES[me], 1 - me
        if mover is None:
            if moving.left and process.lease and owns(at, me):
                begun = _with_mover(moving, me, Mover(process.granted))._replace(left=moving.left - 1)
                yield f"{name} closes", MoveState(at, begun)
            return
        in_flight = process.call is not None
        if not mover.id and (not in_flight or not self.move_rules.what_is_in_flight_ends):
            drawn = _with_mover(moving, me, mover._replace(id=moving.ids + 1))._replace(ids=moving.ids + 1)
            if process.mailbox is not None:
                handed = drawn._replace(sent=drawn.sent | {HandOver(there, drawn.ids, process.mailbox)})
                yield f"{name} hands over {name_history(process.mailbox.messages())}", MoveState(at, handed)
            yield f"{name} hands over nothing", MoveState(at, drawn)
        if mover.id and not mover.swapped:
            swap = Swap(mover.granted, there, moving.lives[there], mover.id)
            sent = _with_mover(moving, me, mover._replace(swapped=True))._replace(swaps=moving.swaps | {swap})
            yield f"{name} sends the swap", MoveState(at, sent)
        stands = at.world.map_version
        decided = shipped_moves.is_decided(mover.granted, stands)
        if not mover.swapped or not self.move_rules.closed_until_known:
            yield f"{name} opens again", MoveState(at, _with_mover(moving, me, None))
        elif decided and at.world.owner == me and stands in (mover.granted, mover.kept):
            stays = put_process(at, me, process._replace(granted=stands))
            opened = _with_mover(moving, me, None)
            yield f"{name} reads that the row stays its own, opens again", MoveState(stays, opened)
        elif not decided and at.world.owner == me:
            back = at._replace(world=at.world._replace(map_version=stands + 1))
            kept = _with_mover(moving, me, mover._replace(kept=stands + 1))._replace(named=0)
            yield f"{name} takes the row back in map version {stands + 1}", MoveState(back, kept)

    # ---- the owner that it is given to -------------------------------------------------------------------------------

    def arrives(self, state: MoveState, me: int) -> Iterator[Step]:
        at, moving = state
        owned = self.move_rules.taken_before_ownership and at.processes[me].granted > 0
        for hand_over in moving.sent:
            is_new = hand_over.to == me and moving.came[me] != hand_over
            if is_new and shipped_moves.is_taken_in(hand_over.id, owned=owned):
                label = f"{PROCESSES[me]} gets the hand-over {hand_over.id}"
                yield label, MoveState(at, moving._replace(came=_put(moving.came, me, hand_over)))

    def warm_claim(self, state: MoveState, me: int) -> Iterator[Step]:
        at, moving = state
        process, came = at.processes[me], moving.came[me]
        if came is None or process.mailbox is not None or process.call is not None:
            return
        if self.move_rules.the_map_names_the_id and not shipped_moves.is_of_the_map(came.id, moving.known_ids[me]):
            return
        mailbox = self.claimed(at, process, came.mailbox)
        if mailbox is None:
            return
        what = f"{PROCESSES[me]} has {name_history(mailbox.messages())} of the hand-over {came.id}"
        if not self.move_rules.claims:
            serving = put_process(at, me, process._replace(mailbox=mailbox))
            yield f"{what}, serves", self.used(MoveState(serving, moving), me)
            return
        call = with_t(at, owner.fence_call(mailbox))
        sent = put_process(at, me, process._replace(call=call, executed=False, then=mailbox))
        yield f"{what}, sends {name_call(call)}", self.used(MoveState(sent, moving), me)

    def claimed(self, at: State, process: Process, handed: Mailbox) -> Mailbox | None:
        """What `process` makes of a mailbox that was handed over. It knows of no garbage that it did not read."""
        epoch, name, now_ms = make_epoch(process.granted, process.n), str(process.life), self.one_row.now_ms(at)
        packed = shipped_moves.packed(*handed[:-1])
        messages, conversations = len(self.one_row.bounds.conversations), self.one_row.conversations
        warm = shipped_moves.claimed(packed, messages, conversations, epoch, name, now_ms)
        if warm is None:
            return None
        stale = warm.stale if at.world.left.sweeps else frozenset()
        return Mailbox(epoch, *warm._replace(stale=stale))

    def used(self, state: MoveState, me: int) -> MoveState:
        """What came is gone."""
        if not self.move_rules.used_once or shipped_moves.is_left():
            return state
        return state._replace(moving=state.moving._replace(came=_put(state.moving.came, me, None)))


def _within(state: MoveState, steps: Iterable[tuple[str, State]]) -> Iterator[Step]:
    """`steps` of the row, which leave the move as it is."""
    for label, following in steps:
        yield label, MoveState(following, state.moving)


def _put(pair: tuple[T, T], me: int, value: T) -> tuple[T, T]:
    return (value, pair[1]) if me == 0 else (pair[0], value)


def _with_mover(moving: Moving, me: int, mover: Mover | None) -> Moving:
    return moving._replace(movers=_put(moving.movers, me, mover))


def _claims(state: MoveState, me: int) -> bool:
    """Whether the process has sent a claim, or serves what it has claimed before."""
    process = state.at.processes[me]
    return process.mailbox is not None or process.call is not None


def _was_named_by_a_move(state: MoveState, me: int) -> bool:
    """A takeover is told at once (one_row.py); a move is read of, by the incarnation that it names."""
    return state.moving.named != 0 and state.moving.named_life == state.moving.lives[me]
