"""The rules by which many owners share the mailboxes, each switched off by replacing one function.

docs/testing.md has a table of them, which test_cluster_rules.py compares with this module.
`python -m tests.simulation.cluster --mutants` says which seed notices each of them.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pytest

from rowbox.cacheserver.cache.followers import Followers
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.commit.pipeline import Pipeline
from rowbox.cacheserver.delivery.delivery import Delivery
from rowbox.cacheserver.delivery.recovery import Recovery
from rowbox.cacheserver.delivery.spilled import Spilled
from rowbox.cacheserver.node import judgement, move_rules
from rowbox.cacheserver.node import membership as membership_module
from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.node.moves import Moves
from rowbox.cacheserver.node.peer_clocks import Apart
from rowbox.cacheserver.node.proposals import Proposals
from rowbox.cacheserver.node.put_back import WentBack
from rowbox.cacheserver.node.tenure import EpochGrant, EpochOwnership, LeasedOwnership
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.node.watch import Watch
from rowbox.cacheserver.refused_turns import RefusedTurns
from rowbox.cacheserver.routing.deliveries import Deliveries
from rowbox.cacheserver.routing.judges import Judges
from rowbox.cacheserver.routing.router import Router
from rowbox.cacheserver.routing.user_line import UserLine, UserLines
from rowbox.cacheserver.rows.stash import HandedRow, Stash
from rowbox.cacheserver.rows.warm_rows import WarmRows
from rowbox.cacheserver.shardmap import map_store, view
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.hbase_schema.keys import MAP_ROW
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.message import Message
from tests.simulation import mutants as of_one_owner
from tests.simulation.cluster.server import StorePath

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def _nothing(*_: Any, **__: Any) -> None:
    """In place of what a rule does."""


# ---------------------------------------------------------------------- who owns


def the_lease_is_not_checked(patch: Patch) -> None:
    patch.setattr(LeasedOwnership, "check", EpochOwnership.check)


def a_lease_counts_from_the_answer_of_its_renewal(patch: Patch) -> None:
    """And not from before it was sent: the others have counted longer by then."""
    renewed = Lease.renewed
    patch.setattr(Lease, "renewed", lambda self, _begun_s: renewed(self, self._now_s()))


def a_renewal_counts_before_its_map_is_applied(patch: Patch) -> None:
    """The lease holds in the moment in which the grants of a map change that was read with the renewal."""
    apply = Membership._apply

    def renewed_first(self: Membership, newer: Any) -> None:
        self.lease.renewed(self._now_s())
        apply(self, newer)

    patch.setattr(Membership, "_apply", renewed_first)


def grants_are_not_revoked(patch: Patch) -> None:
    """Whoever has a mailbox in memory answers while its lease holds."""

    def lease_alone(self: EpochGrant) -> None:
        self._tenure.check()

    patch.setattr(Table, "let_go", _nothing)
    for check in ("check", "admit"):
        patch.setattr(EpochGrant, check, lease_alone)


def a_replaced_incarnation_goes_on(patch: Patch) -> None:
    patch.setattr(Membership, "end", _nothing)


def others_are_declared_dead_soon(patch: Patch) -> None:
    """Before their leases are over."""
    made = Watch.__init__

    def impatient(self: Watch, patience_s: float, gap_s: float, now_s: Any) -> None:
        made(self, patience_s / 3, gap_s, now_s)

    patch.setattr(Watch, "__init__", impatient)


def what_failed_waits_for_its_pause(patch: Patch) -> None:
    """Although its recipient has another owner now, whose own users wait for it."""
    patch.setattr(Delivery, "try_again", _nothing)


def beats_are_not_told(patch: Patch) -> None:
    """Silence counts from when the cell was seen, up to a beat after it was written."""
    patch.setattr(Watch, "heard", _nothing)


def gaps_count_as_silence(patch: Patch) -> None:
    """A store that stalls has the living declare each other dead: nobody answers for longer than need be."""
    patch.setattr(Watch, "forget", _nothing)


def older_maps_are_applied(patch: Patch) -> None:
    take_in = judgement.take_in

    def whatever(look: Any, me: Any) -> Any:
        taken = take_in(look, me)
        return taken._replace(applies=look.map.version > 0)

    def any_version(self: EpochOwnership, version: int, owned: Any) -> Any:
        self.map_version = min(self.map_version, version)
        return apply(self, version, owned)

    apply = EpochOwnership.apply
    patch.setattr(membership_module, "take_in", whatever)
    patch.setattr(EpochOwnership, "apply", any_version)


def nobody_plans(patch: Patch) -> None:
    """As if the stewards had no turns."""
    patch.setattr(Proposals, "make", _no_map)


async def _no_map(_self: Proposals) -> None:
    return None


def shares_the_epoch_of_the_one_before(patch: Patch) -> None:
    """The epoch does not begin with the version that gave the shard."""
    made = EpochGrant.__init__

    def of_the_first_map(self: EpochGrant, tenure: EpochOwnership, shard: int, _since: int) -> None:
        made(self, tenure, shard, 1)

    patch.setattr(EpochGrant, "__init__", of_the_first_map)


# ---------------------------------------------------------------------- the way of a request


def refused_writes_are_overtaken_at_the_owner(patch: Patch) -> None:
    patch.setattr(RefusedTurns, "admit", _nothing)


def refused_writes_are_overtaken_at_the_router(patch: Patch) -> None:
    """Nobody lines up: each write is sent as soon as its own owner is known."""

    def at_once(self: UserLines, line: UserLine, write: Any) -> None:
        self.waiting.add(write.size_bytes)
        line.queued_bytes += write.size_bytes
        line.queue.insert(0, write)

    patch.setattr(UserLines, "line_up", at_once)
    patch.setattr(UserLine, "lets_through", lambda *_: True)

    def free(self: Router, line: UserLine, write: Any) -> Any:
        return self._targets.of(line.user_id)

    patch.setattr(Router, "_free_route", free)


def what_waits_behind_a_refused_write_is_begun(patch: Patch) -> None:
    """At the owner, in its queue."""
    patch.setattr(Pipeline, "_refuse_behind", _nothing)


def a_write_is_sent_again_behind_a_later_one(patch: Patch) -> None:
    patch.setattr(UserLine, "has_overtaken", lambda *_: False)


def a_lost_write_is_not_sent_again(patch: Patch) -> None:
    patch.setattr(Router, "_is_to_be_sent_again", lambda *_: False)


def the_given_away_are_followed_on(patch: Patch) -> None:
    """Neither the owner tells who follows that the shard is gone, nor does the router look at the map."""
    patch.setattr(Followers, "refuse", _nothing)
    patch.setattr(Router, "owner_now", lambda *_: "")


# ---------------------------------------------------------------------- deliveries


def what_was_sent_counts_as_delivered(patch: Patch) -> None:
    """Without the answer of the recipient's owner."""
    deliver = Deliveries.deliver

    def unheard(self: Deliveries, user_id: str, messages: Sequence[Message]) -> Any:
        deliver(self, user_id, messages).add_done_callback(lambda done: done.cancelled() or done.exception())
        done = asyncio.get_running_loop().create_future()
        done.set_result(len(messages))
        return done

    patch.setattr(Deliveries, "deliver", unheard)


def failed_deliveries_are_forgotten(patch: Patch) -> None:
    def give_up(self: Delivery, recipient: str, _error: BaseException) -> None:
        for parcel in tuple(self._queues[recipient].parcels):
            self._leave(parcel, parcel.bit(recipient))

    patch.setattr(Delivery, "_failed", give_up)


def outboxes_of_new_shards_are_not_looked_for(patch: Patch) -> None:
    """Neither at once nor later."""

    async def none(self: Recovery, _shards: Collection[int]) -> None:
        return None

    patch.setattr(Recovery, "_scan", none)


def senders_with_spilled_messages_go_along(patch: Patch) -> None:
    """The target delivers what they send next before what has spilled."""
    patch.setattr(Delivery, "has_spilled", lambda *_: False)


def what_spilled_is_overtaken(patch: Patch) -> None:
    patch.setattr(Spilled, "holds", lambda *_: False)


# ---------------------------------------------------------------------- the map's body, tokens


def a_body_need_not_be_confirmed(patch: Patch) -> None:
    """The map's cell names a body whose write has failed."""
    mutate = StorePath.mutate

    async def whatever(self: StorePath, mutations: Any, timestamp_ms: int) -> None:
        try:
            await mutate(self, mutations, timestamp_ms)
        except StoreUnavailable:
            if mutations[0].row != MAP_ROW:
                raise

    patch.setattr(StorePath, "mutate", whatever)


def a_body_is_not_compared_with_its_digest(patch: Patch) -> None:
    patch.setattr(map_store, "digest_of", lambda _body: "")


def a_nonce_is_used_again(patch: Patch) -> None:
    """A put of a body that was not confirmed, and lands late, may be of the name that stands in the cell."""
    made = MapStore.__init__

    def without_dice(self: MapStore, store: Any, incarnation: str, next_ms: Any, _draw_nonce: Any = None) -> None:
        made(self, store, incarnation, next_ms, lambda: "0")

    patch.setattr(MapStore, "__init__", without_dice)


def tokens_of_others_are_not_judged(patch: Patch) -> None:
    """The owner of the mailbox does not ask whether the token of another user was revoked."""
    patch.setattr(Judges, "judge", _not_asked)


async def _not_asked(_self: Judges, _bearer: Any) -> None:
    return None


# ---------------------------------------------------------------------- moves


def a_mover_answers_while_its_swap_is_under_way(patch: Patch) -> None:
    patch.setattr(EpochGrant, "suspend", _nothing)


def a_mover_goes_on_admitting(patch: Patch) -> None:
    """What is handed over is not all that there will be."""
    patch.setattr(EpochGrant, "stop_admitting", _nothing)


def whatever_was_handed_over_is_used(patch: Patch) -> None:
    """Under whichever id it came, and by whatever way the shard came."""

    def any_id(self: Stash, named: Mapping[int, str | None]) -> list[HandedRow]:
        attempts = filter(None, map(self._drop, named))
        return [row for attempt in attempts for row in attempt.rows.values()]

    patch.setattr(Stash, "take_out", any_id)


def what_was_handed_over_is_used_again(patch: Patch) -> None:
    def left_there(self: WarmRows, user_id: str) -> bytes | None:
        of_shard = self._of_shard.get(shard_of(user_id, self._shards))
        row = None if of_shard is None else of_shard.rows.get(user_id)
        return None if row is None else row.packed

    patch.setattr(WarmRows, "take", left_there)
    patch.setattr(WarmRows, "forget", _nothing)


def a_mover_gives_what_is_not_its_own(patch: Patch) -> None:
    """It does not look whether its grant still stands in the map that it changes."""
    patch.setattr(move_rules, "_granted", lambda _standing, _me, grants: list(grants))


def a_swap_that_failed_is_over(patch: Patch) -> None:
    """The mover opens again without waiting for a newer version."""

    async def as_known(self: Moves, _move: Any, _sent_over: int) -> Any:
        return self._tenure.view.newest

    patch.setattr(Moves, "_decided", as_known)


# ---------------------------------------------------------------------- what others say


def clocks_of_others_say_nothing(patch: Patch) -> None:
    patch.setattr(Apart, "compare", _nothing)


def a_clock_in_doubt_is_written_by(patch: Patch) -> None:
    patch.setattr(TrustedTime, "now_us", TrustedTime.wall_us)


def a_row_that_went_back_is_taken_for_the_newest(patch: Patch) -> None:
    """The store was put back from a copy, and nobody who was there before sees it."""
    patch.setattr(WentBack, "saw", lambda *_: False)


def rows_above_the_map_tell_nothing(patch: Patch) -> None:
    patch.setattr(Membership, "_compare", _nothing)


def hints_have_the_map_read_without_end(patch: Patch) -> None:
    patch.setattr(view, "MOST_IN_VAIN", 1 << 30)


NOTICED: list[tuple[Mutant, int]] = [
    (what_was_handed_over_is_used_again, 0),
    (grants_are_not_revoked, 0),
    (nobody_plans, 0),
    (shares_the_epoch_of_the_one_before, 0),
    (a_body_need_not_be_confirmed, 0),
    (refused_writes_are_overtaken_at_the_router, 0),
    (what_was_sent_counts_as_delivered, 0),
    (failed_deliveries_are_forgotten, 0),
    (the_given_away_are_followed_on, 10),
    (of_one_owner.no_claim_on_load, 0),
    (of_one_owner.the_epoch_stays_after_an_unknown_outcome, 0),
    (of_one_owner.the_mailbox_stays_after_an_unknown_outcome, 0),
    (of_one_owner.a_delivery_is_always_new, 0),
    (of_one_owner.client_ids_are_not_loaded, 0),
    (of_one_owner.no_fence_filter_on_load, 0),
]
"""What random clusters notice, with the first seed from which on CI looks. The others have a story (stories.py)."""
MUTANTS: list[Mutant] = [
    mutant for name, mutant in globals().items() if getattr(mutant, "__module__", "") == __name__ and name[:1].islower()
] + [mutant for mutant, _ in NOTICED if mutant.__module__ != __name__]
"""All: each function of this module, and those of tests/simulation/mutants.py that clusters notice as well."""
