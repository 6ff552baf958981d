"""The shipped rules, each with a fault in one of its lines: every one must be found by a search, of the case it names.

A fault is put into the function itself, wherever that is called from. So the search finds it as long as it calls what
ships and the product calls nothing else: a rule that is copied into the model, or of which the product has another
one, leaves its faults unfound here.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rowbox.cacheserver.node import judgement, move_rules
from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.watch import Watch
from rowbox.cacheserver.rows import row_parts
from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.stash import Stash
from rowbox.cacheserver.rows.warm_rows import WarmRows
from rowbox.mailbox import fence, two_states
from rowbox.mailbox.aggregate import hand_over
from rowbox.mailbox.aggregate.hand_over import HandedOver
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.clocks import clock
from tests.model.cluster import cluster_map, cluster_row
from tests.model.groups import shipped as shipped_groups
from tests.model.moves import shipped_moves
from tests.model.rows import names, shipped


class Mutant(NamedTuple):
    """`function` with `line`, a part of its source, replaced by `fault`."""

    function: Callable[..., Any]
    line: str
    fault: str
    found_in: str
    """The name of the case in which a violation is found, or of the goal that is not reached."""

    @property
    def name(self) -> str:
        return f"{self.function.__qualname__}: {self.line} -> {self.fault}"


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Puts the fault into the function for this context. AssertionError unless the line is in the function once."""
    function: Any = mutant.function
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(mutant.line) == 1, f"{mutant.line} stands {source.count(mutant.line)} times in {source}"
    made: dict[str, Any] = {}
    exec(source.removeprefix("@property\n").replace(mutant.line, mutant.fault), function.__globals__, made)
    code = function.__code__
    _forget()
    function.__code__ = made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = code
        _forget()


def _forget() -> None:
    """Forgets the answers of rules that the model remembers."""
    for module in (shipped, shipped_groups, shipped_moves, names, cluster_map, cluster_row):
        for remembered in vars(module).values():
            if hasattr(remembered, "cache_clear"):
                remembered.cache_clear()


_LATE = "a_late_write_is_ignored"
_SECOND = "the_second_state_is_used"
_SWEPT = "a_row_is_swept"
_FOLDED = "a_list_is_folded"
_THREE = "folding, two conversations"
_TWINS = "one map version given twice"
_BEATS = "patience: beats, and clocks that differ"
_TOLD = "patience: beats that are told"
_OWNS = "another_owns_and_answers"
_PLACE = "a_place_was_taken_over"
_RAISED = "a_grant_was_raised"
_FIRST_PLACE = "cluster: a first start, resignations"
_TAKEOVERS = "cluster: takeovers, plans that differ"
_RENEWALS = "cluster: takeovers, renewals"
_ONE_STEWARD = "cluster: one steward"
_CARRIED = "cluster: takeovers, plans that are carried over"
_RESTORE = "cluster: a restore"
_MOVES = "cluster: moves there and back"
_MOVES_LATE = "cluster: moves, answers that come late"
_JOINER = "a_joiner_owns"
_MOVED = "a_shard_was_moved"
_TAKEN_BACK = "a_move_was_taken_back"
_GIVEN = "a move: unknown outcomes"
_GIVEN_TWICE = "a move: there and back, or tried twice"
_WARM = "a_row_is_claimed_warm"
_IS_HELD: Any = vars(Lease)["is_held"].fget

MUTANTS = (
    Mutant(fence.next_epoch, "make_epoch(map_version, n + 1)", "make_epoch(map_version, n)", _LATE),
    Mutant(fence.newest, "fence[-1].epoch", "-fence[-1].epoch", _SECOND),
    Mutant(fence.is_valid, "version <= fence", "version < fence", _SECOND),
    Mutant(fence.is_valid, "fence[position].epoch != epoch and not fence[position].folded", "False", _LATE),
    Mutant(fence.is_valid, " and not fence[position].folded", "", _FOLDED),
    Mutant(fence.is_valid, "version <= fence[following].starts_after", "True", _SECOND),
    Mutant(fence.head_of, " and is_valid(fence, epoch, version)", "", _FOLDED),
    Mutant(fence.head_of, "version > head and ", "", _LATE),
    Mutant(fence.has_claimed, " and fence[-1].incarnation == incarnation", "", _TWINS),
    Mutant(fence.has_claimed, "fence[-1].epoch == epoch", "fence[-1].epoch >= epoch", "sweeps"),
    Mutant(fence.has_claimed, "fence[-1].epoch == epoch", "fence[-1].epoch <= epoch", _SECOND),
    Mutant(fence.access, "fence[-1].epoch >= epoch", "False", _LATE),
    Mutant(fence.access, "fence[-1].epoch >= epoch", "True", _LATE),
    Mutant(fence.claim, "FenceEntry(epoch, head,", "FenceEntry(epoch, head - 1,", _SECOND),
    Mutant(fence.claim, "FenceEntry(epoch, head,", "FenceEntry(epoch, head + 1,", _SECOND),
    Mutant(fence.drop_empty, "entry.starts_after != end", "end - entry.starts_after > 1", _LATE),
    Mutant(fence.drop_empty, "entry.starts_after != end", "entry.starts_after == end", _SECOND),
    Mutant(fence.fold, "FOLD_AFTER_MS <= now_ms", "0 <= now_ms", "unknown puts and claims"),
    Mutant(fence.fold, "last.claimed_at_ms, True)", "last.claimed_at_ms)", _FOLDED),
    Mutant(fence.blocks_folding, "epoch <= through and not is_valid(fence, epoch, version)", "False", _THREE),
    Mutant(fence.blocks_folding, " and not is_valid(fence, epoch, version)", "", _FOLDED),
    Mutant(fence.is_sweepable, " and not is_valid(fence, epoch, version)", "", _SWEPT),
    Mutant(two_states.choose, "state.version > known[0].version", "state.version < known[0].version", _LATE),
    Mutant(two_states.choose, "is_valid(fence, state.epoch, state.version) and ", "", _LATE),
    Mutant(
        two_states.choose, "in chosen.items() if cell.epoch < own", "in chosen.items() if cell.epoch <= own", "sweeps"
    ),
    Mutant(two_states.choose, "id(cell) not in carriers and ", "", _SWEPT),
    Mutant(two_states.states_of, "[cell.current, cell.previous]", "[cell.current]", _SWEPT),
    Mutant(two_states.stamps_of, "yield Stamp(cell.current.epoch, cell.current.version)", "pass", _LATE),
    Mutant(ClaimedRow.add, "cell.epoch < self.fence[-1].epoch", "cell.epoch <= self.fence[-1].epoch", _SWEPT),
    Mutant(ClaimedRow.add, "max(self.head, head_of(self.fence, stamps))", "self.head", _LATE),
    Mutant(ClaimedRow.add_outbox, "if is_valid(self.fence, cell.epoch, cell.version)", "if True", "outbox, takeovers"),
    Mutant(Mailbox.counts, "return version <= as_of and", "return", _LATE),
    Mutant(Mailbox.counts, "version <= as_of and is_valid(self.fence, epoch, version)", "version <= as_of", _FOLDED),
    Mutant(Mailbox.is_dead, "is_sweepable(self.fence, self.epoch, epoch, version)", "epoch < self.epoch", _SWEPT),
    Mutant(Mailbox.take_stale, "for key in states", "for key in list(stale)", _THREE),
    Mutant(Mailbox.apply, "self.head = plan.head", "pass", _LATE),
    Mutant(two_states.cells_of, "state, before(key)", "state, None", _SECOND),
    Mutant(two_states.cells_of, "state, before(key)", "state, state", _SECOND),
    Mutant(clock.tick, "last_us + 1", "last_us", "in parts, three messages"),
    Mutant(row_parts.has_settled, "before == head", "True", "in parts, three messages"),
    Mutant(move_rules.is_decided, "applied.version > sent_over", "True", _GIVEN),
    Mutant(move_rules.is_decided, "applied.version > sent_over", "applied.version >= sent_over", _GIVEN),
    Mutant(Stash.put, "if self._owns(shard):", "if False:", _GIVEN),
    Mutant(Stash.put, "if self._owns(shard):", "if True:", _WARM),
    Mutant(Stash.take_out, " and attempt.id == hand_over_id", "", _GIVEN_TWICE),
    Mutant(Stash.take_out, "attempt.id == hand_over_id", "False", _WARM),
    Mutant(WarmRows.take, "of_shard.rows.pop(user_id, None)", "of_shard.rows.get(user_id)", _GIVEN),
    Mutant(HandedOver.claim, "access(self.fence, epoch, incarnation) is not Access.CLAIMABLE", "True", _WARM),
    Mutant(HandedOver.claim, "self.head,", "self.head - 1,", _GIVEN),
    Mutant(HandedOver.mailbox, "head=self.head,", "head=0,", _GIVEN),
    Mutant(HandedOver.mailbox, "index_of(self.states,", "index_of((),", _GIVEN),
    Mutant(HandedOver.mailbox, "client_ids=self.client_ids", "client_ids=None", _GIVEN),
    Mutant(HandedOver.mailbox, "fence=fence,", "fence=self.fence,", _GIVEN),
    Mutant(hand_over.packed_mailbox, "mailbox.head,", "0,", _GIVEN),
    Mutant(Lease.renewed, "begun_s + self._ttl_s", "begun_s + self._ttl_s + 2", _BEATS),
    Mutant(_IS_HELD, "self._now_s() < self._until_s", "self._now_s() <= self._until_s", _BEATS),
    Mutant(Watch.saw, "now_s - before_s > self._gap_s", "False", "patience: a store that stalls"),
    Mutant(Watch.saw, "self._looked_s = now_s", "pass", "is_dead"),
    Mutant(Watch._after, " and seen.cell == cell", "", _BEATS),
    Mutant(Watch._after, "seen.cell == cell", "False", "is_dead"),
    Mutant(Watch._after, " and heard.beat == cell.beat", "", _TOLD),
    Mutant(Watch.heard, "self._now_s()", "self._now_s() - 3", _TOLD),
    Mutant(Watch.silent, "<= 0", "<= 3", _BEATS),
    Mutant(Watch.left_s, "+ self._patience_s - self._now_s()", "+ self._patience_s - self._now_s() - 3", _BEATS),
    Mutant(judgement.role_of, " or (me.has_joined and has_ended(look, me.name))", "", _RENEWALS),
    Mutant(judgement.has_ended, "cell.has_ended", "False", _ONE_STEWARD),
    Mutant(judgement.stewards, "if not has_ended(look, node.incarnation)", "", _ONE_STEWARD),
    Mutant(judgement.take_in, "own.beat if", "0 if", _JOINER),
    Mutant(judgement.take_in, "_is_newer(look, me)", "look.map.version > 0", _MOVES_LATE),
    Mutant(judgement.places_to_read, "me.name in lowest or ", "", _ONE_STEWARD),
    Mutant(judgement._is_known_ended, "cell is not None and cell.has_ended", "False", _ONE_STEWARD),
    Mutant(judgement.renewal, "Renewal(cell.beat", "Renewal(cell.beat - 1", "a_second_renewal_counts"),
    Mutant(judgement.next_swap, "role_of(look, me) is Role.REPLACED", "False", _TAKEOVERS),
    Mutant(judgement._join, "row.cells.get(first_place.place) == first_place.stood", "False", _FIRST_PLACE),
    Mutant(judgement._join, "if cell.has_ended", "", _FIRST_PLACE),
    Mutant(judgement._bury, "cell.incarnation in me.silent and ", "", _TAKEOVERS),
    Mutant(judgement.raised, ".giving_anew(low)", "", _RAISED),
    Mutant(judgement.plan_input, "if me.name not in ranked", "if ranked", _OWNS),
    Mutant(judgement.carried_over, "after.ownerless", "range(after.shards)", _CARRIED),
    Mutant(judgement._joiners, "node(cell.incarnation) is None", "node(cell.incarnation)", _JOINER),
    Mutant(judgement._enough_are_back, ">=", "<=", _RESTORE),
    Mutant(judgement._is_newer, "look.map.version > me", "look.map.version < me", _OWNS),
    Mutant(judgement._lowest, "nsmallest(count,", "nsmallest(0,", _TAKEOVERS),
    Mutant(move_rules.gives_away, " if _target(standing, shard) == target", "", _MOVES),
    Mutant(move_rules.takes_back, "is not None", "is None", _TAKEN_BACK),
    Mutant(move_rules.is_decided, "version > sent", "version >= sent", _MOVES),
    Mutant(move_rules._granted, "shard in own", "shard not in own", _MOVED),
    Mutant(move_rules._target, "target.incarnation", "target.node_id", _MOVED),
)
