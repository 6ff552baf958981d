"""The rules for shards that change hands, each left out: every one must be noticed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from _pytest.outcomes import Failed

from rowbox.cacheserver.access.revoked_ids import RevokedIds
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.cache.waiters import Waiters
from rowbox.cacheserver.commit.committer import Committer
from rowbox.cacheserver.commit.pipeline import Pipeline
from rowbox.cacheserver.delivery.delivery import Delivery
from rowbox.cacheserver.delivery.recovery import Recovery
from rowbox.cacheserver.node.tenure import EpochGrant
from rowbox.cacheserver.owner import owner as owner_module
from rowbox.cacheserver.stores.heard_store import HeardStore
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import NotTheOwner, RowboxError
from tests.owner.shards import test_grants as grants
from tests.owner.shards import test_moves as moves

Patch = pytest.MonkeyPatch
Story = Callable[[], None]


def _nothing(*_: Any) -> None:
    """In place of what a rule does."""


async def _at_once(*_: Any) -> None:
    """In place of what a rule waits for."""


def _who_owns_now_may_answer(patch: Patch) -> None:
    """The question that a grant replaces."""

    def owned_now(self: EpochGrant) -> None:
        self._tenure.grant_of(self.shard)

    for check in ("check", "admit"):
        patch.setattr(EpochGrant, check, owned_now)


def _rows_stay(patch: Patch) -> None:
    patch.setattr(Table, "let_go", _nothing)


def _rows_stay_and_who_owns_now_may_answer(patch: Patch) -> None:
    _rows_stay(patch)
    _who_owns_now_may_answer(patch)


def _polls_stay(patch: Patch) -> None:
    patch.setattr(Waiters, "refuse", _nothing)


def _commands_stay(patch: Patch) -> None:
    patch.setattr(Pipeline, "refuse", _nothing)


def _all_epochs_are_left(patch: Patch) -> None:
    leave = EpochGrant.leave_epoch

    def leave_all(self: EpochGrant) -> None:
        for grant in list(self._tenure._grants.values()):
            leave(grant)

    patch.setattr(EpochGrant, "leave_epoch", leave_all)


def _one_row_fails_all(patch: Patch) -> None:
    owned = Committer._owned

    def none(self: Committer, rows: Sequence[Row], failed: dict[Row, RowboxError]) -> Sequence[Row]:
        left = owned(self, rows, failed)
        if len(left) < len(rows):
            failed.update(dict.fromkeys(rows, NotTheOwner("one of them is another's")))
        return [row for row in left if row not in failed]

    patch.setattr(Committer, "_owned", none)


def _nobody_asks_before_the_write(patch: Patch) -> None:
    def all_of_them(_self: Committer, rows: Sequence[Row], _failed: Mapping[Row, RowboxError]) -> Sequence[Row]:
        return rows

    patch.setattr(Committer, "_owned", all_of_them)


def _closed_is_not_asked(patch: Patch) -> None:
    patch.setattr(EpochGrant, "admit", EpochGrant.check)


def _batches_are_not_waited_for(patch: Patch) -> None:
    patch.setattr(Pipeline, "ended", _at_once)


def _loads_are_not_waited_for(patch: Patch) -> None:
    patch.setattr(Table, "loads_ended", _at_once)


def _what_is_granted_goes_as_well(patch: Patch) -> None:
    patch.setattr(owner_module.Owner, "_assert_ended", _nothing)


def _parcels_stay(patch: Patch) -> None:
    patch.setattr(Delivery, "give_away", _nothing)


def _what_is_not_known_is_delivered(patch: Patch) -> None:
    patch.setattr(owner_module, "is_held", lambda _grant: True)


def _nothing_is_looked_for(patch: Patch) -> None:
    patch.setattr(Recovery, "take", _nothing)


def _suspended_answers(patch: Patch) -> None:
    patch.setattr(EpochGrant, "suspend", _nothing)


def _the_list_is_not_read_again(patch: Patch) -> None:
    async def never(_: RevokedIds) -> float:
        return 1e6

    patch.setattr(RevokedIds, "_round", never)


def _a_failed_reading_is_a_failure(patch: Patch) -> None:
    async def read(self: RevokedIds) -> float:
        await self.read()
        return 0.5

    patch.setattr(RevokedIds, "_round", read)


def _rows_without_a_mailbox_stay(patch: Patch) -> None:
    def admitted(self: Table, user_id: str) -> Row:
        row = self.row(user_id)
        row.grant.admit()
        return row

    patch.setattr(Table, "admitted", admitted)


LEFT_OUT: Sequence[tuple[Callable[[Patch], None], Story]] = [
    (
        _rows_stay_and_who_owns_now_may_answer,
        grants.test_a_page_made_of_memory_is_not_answered_by_a_mailbox_of_a_grant_that_has_ended,
    ),
    (
        _rows_stay_and_who_owns_now_may_answer,
        grants.test_a_write_that_was_begun_before_the_shard_was_away_is_not_confirmed,
    ),
    (_rows_stay, moves.test_a_shard_that_is_given_away_takes_nothing_else_out_of_memory),
    (_polls_stay, grants.test_a_poll_that_was_parked_before_the_shard_was_away_ends),
    (_commands_stay, partial(moves.test_what_is_in_flight_of_a_closed_shard_ends_and_nothing_else_begins, True)),
    (_all_epochs_are_left, grants.test_an_unknown_outcome_leaves_the_epoch_of_its_own_grant_alone),
    (_one_row_fails_all, partial(grants.test_of_a_batch_only_the_user_who_was_given_away_fails, "before_the_call")),
    (
        _nobody_asks_before_the_write,
        partial(grants.test_of_a_batch_only_the_user_who_was_given_away_fails, "before_the_call"),
    ),
    (_closed_is_not_asked, partial(moves.test_what_is_in_flight_of_a_closed_shard_ends_and_nothing_else_begins, True)),
    (_closed_is_not_asked, moves.test_a_load_under_way_is_waited_for_and_another_one_is_not_begun),
    (
        _batches_are_not_waited_for,
        partial(moves.test_what_is_in_flight_of_a_closed_shard_ends_and_nothing_else_begins, False),
    ),
    (_loads_are_not_waited_for, moves.test_a_load_under_way_is_waited_for_and_another_one_is_not_begun),
    (_what_is_granted_goes_as_well, moves.test_what_is_still_granted_is_not_given_away),
    (_parcels_stay, moves.test_a_send_that_waits_for_its_delivery_is_confirmed_as_pending),
    (
        _what_is_not_known_is_delivered,
        moves.test_a_send_is_not_called_delivered_because_nothing_is_known_of_it_any_more,
    ),
    (
        _nothing_is_looked_for,
        moves.test_outboxes_of_shards_that_were_taken_are_found_at_once_and_those_of_others_are_not,
    ),
    (_suspended_answers, moves.test_whoever_sends_the_swap_answers_nothing_until_it_knows),
    (_the_list_is_not_read_again, moves.test_an_id_that_another_owner_has_revoked_is_refused_within_a_second),
    (_a_failed_reading_is_a_failure, moves.test_the_list_is_read_again_soon_after_the_store_did_not_answer),
    (_rows_without_a_mailbox_stay, grants.test_requests_while_the_lease_has_lapsed_leave_nothing_in_memory),
]


@pytest.mark.parametrize(
    ("rule_left_out", "story"), LEFT_OUT, ids=lambda part: part.__name__.strip("_") if hasattr(part, "__name__") else ""
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_without_the_rule_the_story_ends_badly(
    rule_left_out: Callable[[Patch], None], story: Story, monkeypatch: Patch
) -> None:
    rule_left_out(monkeypatch)
    with pytest.raises((AssertionError, Failed, RowboxError)):
        story()


async def test_what_is_read_beside_the_mail_does_not_say_that_mail_is_reached() -> None:
    """The list of revoked tokens has a region of its own, which may answer while no mailbox does."""
    heard: list[str] = []

    class Store:
        async def get_columns(self, *_: Any) -> list[Any]:
            return []

        async def compare_and_set(self, *_: Any) -> bool:
            return True

    class Health:
        def has_read(self) -> None:
            heard.append("read")

        def has_written(self) -> None:
            heard.append("written")

    store = HeardStore(Store(), Health())  # type: ignore[arg-type]
    for row in (b"meta/revoked", b"0000/ann"):
        await store.get_columns(row, Family.INDEX, [])
        await store.compare_and_set(row, Family.INDEX, b"q", None, b"x")
    assert heard == ["read", "written"]
