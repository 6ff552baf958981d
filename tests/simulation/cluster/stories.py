"""What shows the rules that random clusters break too seldom, or cannot break: for each a story that fails without it.

Most stand where the rule is tested anyway; those that are here are played by test_cluster_rules.py with the rule, too.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import NotTheOwner
from tests.cluster import test_lease, test_membership, test_node, test_put_back
from tests.cluster.leaving import test_clock
from tests.moves import test_broken_moves, test_moves
from tests.moves.servers import Servers
from tests.moves.steps import ALL, begun
from tests.owner import test_delivery, test_turns_of_writes
from tests.owner.rows import test_warm_claims
from tests.routing import test_in_turn, test_router
from tests.simulation.cluster import killed, mutants
from tests.simulation.cluster.mutants import Mutant
from tests.simulation.cluster.world import quiet_logs
from tests.support.cluster import SHARDS
from tests.support.virtual_time import virtual_time
from tests.unit.cacheserver.shardmap import test_map_store

Story = Callable[[], None]


@virtual_time
async def a_mover_loses_its_shards_while_it_gives_them_away() -> None:
    """They are taken over, and their new owner is asked to give them to the same target: that is for it to do."""
    servers = Servers()
    mover, target, _ = await begun(servers, "the swap")
    (third,) = await servers.start(1, beats=False)

    def taken_over(standing: ShardMap) -> ShardMap:
        return standing.next().giving(ALL, third.name).sending(ALL, target.name)

    await servers.change(taken_over)
    mover.store.release(Point.WRITE)
    await asyncio.sleep(3)
    assert len((await servers.standing()).shards_of(third.name)) == SHARDS, "somebody else has given them away"
    await servers.close()


def users_of_killed_owners_wait_for_half_a_beat_less_than_a_lease() -> None:
    """On the average: who watches an owner counts from its last beat, and not from when it saw that. And what they send
    to one another does not wait for the pauses of those who could not deliver to them before.
    """
    with quiet_logs():
        waits = killed.waits_s(kills=24, seed=3)
    assert sum(waits) / len(waits) < 4.35
    assert waits[-1] < 5.0


OWN: list[Story] = [
    a_mover_loses_its_shards_while_it_gives_them_away,
    users_of_killed_owners_wait_for_half_a_beat_less_than_a_lease,
]
"""The stories that are told here alone."""

_NOT_ANSWERED = test_broken_moves.test_from_the_swap_on_nothing_is_answered_until_a_newer_map_was_read
_NOT_BEGUN = test_in_turn.test_what_was_sent_behind_a_refused_write_is_not_begun

_REFUSED_WITH_IT = (
    test_turns_of_writes.test_what_waits_for_a_load_whose_claim_has_an_unknown_outcome_is_refused_with_the_first
)
_NOT_BEHIND = test_router.test_a_write_is_not_sent_again_behind_a_later_one_that_was_confirmed

DIRECTED: list[tuple[Mutant, Story]] = [
    (
        mutants.the_lease_is_not_checked,
        test_node.test_a_server_that_is_cut_off_is_replaced_and_can_neither_confirm_nor_answer,
    ),
    (
        mutants.a_lease_counts_from_the_answer_of_its_renewal,
        test_membership.test_the_lease_counts_from_the_beat_that_stands_and_not_from_the_newest,
    ),
    (
        mutants.a_renewal_counts_before_its_map_is_applied,
        test_membership.test_a_map_that_takes_a_shard_away_ends_its_grant_before_the_lease_is_renewed,
    ),
    (mutants.a_replaced_incarnation_goes_on, test_node.test_a_second_server_stands_by_and_follows_the_one_that_stops),
    (
        mutants.others_are_declared_dead_soon,
        test_lease.test_the_shards_of_a_silent_owner_go_to_the_others_after_ttl_and_margin_and_not_before,
    ),
    (mutants.what_failed_waits_for_its_pause, users_of_killed_owners_wait_for_half_a_beat_less_than_a_lease),
    (mutants.beats_are_not_told, users_of_killed_owners_wait_for_half_a_beat_less_than_a_lease),
    (
        mutants.gaps_count_as_silence,
        test_membership.test_a_gap_between_looks_is_no_time_of_silence_although_the_own_lease_holds,
    ),
    (
        mutants.older_maps_are_applied,
        test_membership.test_a_map_that_takes_a_shard_away_ends_its_grant_before_the_lease_is_renewed,
    ),
    (mutants.refused_writes_are_overtaken_at_the_owner, partial(_NOT_BEGUN, error=NotTheOwner("it moves"))),
    (mutants.what_waits_behind_a_refused_write_is_begun, _REFUSED_WITH_IT),
    (
        mutants.a_write_is_sent_again_behind_a_later_one,
        partial(_NOT_BEHIND, error=NotTheOwner("it moves", map_version=1)),
    ),
    (mutants.a_lost_write_is_not_sent_again, test_router.test_a_lost_link_is_waited_for_and_not_tried_meanwhile),
    (mutants.outboxes_of_new_shards_are_not_looked_for, test_delivery.test_a_late_outbox_is_found_by_a_later_scan),
    (
        mutants.senders_with_spilled_messages_go_along,
        test_warm_claims.test_a_sender_of_whom_something_has_spilled_is_not_handed_over,
    ),
    (mutants.what_spilled_is_overtaken, test_delivery.test_what_has_spilled_is_not_overtaken_by_what_is_sent_later),
    (mutants.a_body_is_not_compared_with_its_digest, test_map_store.test_a_map_of_another_number_of_shards_is_damage),
    (mutants.a_nonce_is_used_again, test_map_store.test_a_body_whose_put_is_not_confirmed_is_never_named),
    (mutants.tokens_of_others_are_not_judged, test_router.test_a_revoked_token_of_another_user_does_nothing),
    (mutants.a_mover_answers_while_its_swap_is_under_way, partial(_NOT_ANSWERED, executes=True)),
    (mutants.a_swap_that_failed_is_over, partial(_NOT_ANSWERED, executes=False)),
    (mutants.a_mover_goes_on_admitting, test_moves.test_a_write_that_does_not_end_ends_the_move),
    (mutants.whatever_was_handed_over_is_used, test_moves.test_what_came_of_another_attempt_is_not_used),
    (mutants.a_mover_gives_what_is_not_its_own, a_mover_loses_its_shards_while_it_gives_them_away),
    (
        mutants.clocks_of_others_say_nothing,
        test_clock.test_an_owner_that_is_off_from_two_that_agree_leaves_the_mailboxes_to_them,
    ),
    (
        mutants.a_clock_in_doubt_is_written_by,
        test_clock.test_the_last_owner_whose_clock_is_not_believed_stays_and_confirms_nothing,
    ),
    (
        mutants.a_row_that_went_back_is_taken_for_the_newest,
        test_put_back.test_an_owner_under_which_the_store_is_put_back_ends_and_its_tokens_reset,
    ),
    (
        mutants.rows_above_the_map_tell_nothing,
        test_put_back.test_a_row_claimed_under_a_version_above_the_maps_begins_another_history_and_is_served,
    ),
    (
        mutants.hints_have_the_map_read_without_end,
        test_node.test_a_peer_that_talks_of_maps_which_do_not_stand_makes_no_server_beat_without_end,
    ),
]
"""Which story fails without which rule."""
