"""Every rule that protects a mailbox, switched off: then a story goes wrong, or the simulation finds a broken promise.

A rule of which neither can be said is one that no test holds in place.
"""

import logging
from collections.abc import Iterator

import pytest

from rowbox.mailbox.errors import RowboxError
from tests.simulation import mutants as without
from tests.simulation import scenarios as story
from tests.simulation.mutants import Mutant
from tests.simulation.scenarios import Scenario
from tests.simulation.world import World
from tests.support.virtual_time import Deadlock, run_virtual

MOST_SEEDS = 60
STORIES: list[Scenario] = [
    story.a_late_write_lands_in_place,
    story.a_late_write_of_two_joined_sends_lands_in_place,
    story.a_paused_owner_wakes_with_a_write_on_its_way,
    story.a_replaced_owner_is_asked,
    story.a_lease_lapses_during_a_write_and_returns,
    story.a_lease_lapses_between_a_load_and_an_answer_and_returns,
    story.a_claim_lands_after_another_owner_has_claimed,
    story.two_owners_die_before_a_message_is_delivered,
    story.a_replaced_owner_reads_a_page,
    story.a_message_comes_while_a_poll_reads,
    story.a_read_meets_what_is_not_committed,
    story.requests_of_one_sender_are_pipelined,
    story.two_mutations_of_a_row_at_once,
    story.a_retry_comes_after_a_restart,
    story.an_outbox_survives_its_owner,
    story.a_message_is_delivered_again,
    story.a_poll_waits_while_the_mailbox_is_loaded_anew,
    story.a_poll_ends_in_the_moment_of_a_commit,
    story.a_window_is_filled_while_it_overflows,
    story.a_window_is_filled_while_a_message_sorts_below_it,
]
TOLD: list[tuple[Mutant, Scenario]] = [
    (without.no_second_state, story.a_late_write_lands_in_place),
    (
        without.the_state_before_the_command_not_the_mutation,
        story.a_late_write_of_two_joined_sends_lands_in_place,
    ),
    (without.the_epoch_stays_after_an_unknown_outcome, story.a_late_write_lands_in_place),
    (without.no_fence_filter_on_load, story.a_late_write_lands_in_place),
    (without.no_ownership_check, story.a_replaced_owner_is_asked),
    (without.no_check_after_the_write, story.a_paused_owner_wakes_with_a_write_on_its_way),
    (without.no_check_before_a_read_is_answered, story.a_replaced_owner_is_asked),
    (without.a_row_stays_when_the_check_after_its_write_fails, story.a_lease_lapses_during_a_write_and_returns),
    (without.no_check_after_the_claim, story.a_claim_lands_after_another_owner_has_claimed),
    (without.valid_outbox_cells_are_garbage, story.two_owners_die_before_a_message_is_delivered),
    (without.cells_of_higher_epochs_are_swept, story.a_replaced_owner_reads_a_page),
    (without.no_second_look_before_a_poll_is_parked, story.a_message_comes_while_a_poll_reads),
    (without.reads_show_what_is_not_committed, story.a_read_meets_what_is_not_committed),
    (without.last_in_first_out, story.requests_of_one_sender_are_pipelined),
    (without.any_number_of_mutations_in_flight, story.two_mutations_of_a_row_at_once),
    (without.client_ids_are_not_loaded, story.a_retry_comes_after_a_restart),
    (without.outboxes_are_forgotten_on_load, story.an_outbox_survives_its_owner),
    (without.a_delivery_is_always_new, story.a_message_is_delivered_again),
    (without.waiters_sleep_through_a_load, story.a_poll_waits_while_the_mailbox_is_loaded_anew),
    (without.a_wait_that_ended_takes_the_new_head, story.a_poll_ends_in_the_moment_of_a_commit),
    (without.a_fill_ignores_what_came_meanwhile, story.a_window_is_filled_while_it_overflows),
    (without.a_fill_ignores_what_came_meanwhile, story.a_window_is_filled_while_a_message_sorts_below_it),
]
SIMULATED: list[Mutant] = [
    without.no_fence_filter_on_reads,
    without.no_fence_filter_on_load,
    without.filter_by_the_list_that_was_read,
    without.no_ownership_check,
    without.no_check_after_the_write,
    without.the_epoch_stays_after_an_unknown_outcome,
    without.the_mailbox_stays_after_an_unknown_outcome,
    without.no_claim_on_load,
    without.the_claim_is_not_waited_for,
    without.the_clock_does_not_go_on_from_the_head,
    without.client_ids_are_not_loaded,
    without.a_delivery_is_always_new,
]


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """A broken server complains at length."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("scenario", STORIES, ids=lambda scenario: scenario.__name__)
def test_the_story_ends_well(scenario: Scenario) -> None:
    run_virtual(scenario())


@pytest.mark.parametrize(("mutant", "scenario"), TOLD, ids=lambda part: part.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_story_goes_wrong_without_the_rule(
    mutant: Mutant, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, RowboxError, Deadlock)):
        run_virtual(scenario())


@pytest.mark.parametrize("mutant", SIMULATED, ids=lambda mutant: mutant.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_simulation_notices_that_the_rule_is_missing(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    for seed in range(MOST_SEEDS):
        try:
            World(seed, late=True).run()
        except AssertionError:  # a Violation, or what the invariant checker found in the end
            return
    pytest.fail(f"{MOST_SEEDS} seeds without a violation")
