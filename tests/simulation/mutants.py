"""The rules that protect a mailbox, each switched off by replacing one function. Every one must be noticed."""

import asyncio
import inspect
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache import row as row_module
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.cache.waiters import Waiters
from rowbox.cacheserver.commit import pipeline
from rowbox.cacheserver.commit.batch import Batch
from rowbox.cacheserver.commit.committer import Committer
from rowbox.cacheserver.commit.pipeline import Pipeline
from rowbox.cacheserver.fetch.feed import Feed
from rowbox.cacheserver.fetch.fetches import Fetches
from rowbox.cacheserver.fetch.waiting import no_news
from rowbox.cacheserver.node.tenure import EpochGrant
from rowbox.cacheserver.ownership import Grant
from rowbox.cacheserver.rows import claimed_row, loader
from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.loader import Loader
from rowbox.cacheserver.rows.sent_ids import SentIds
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.stores.port import Column
from rowbox.mailbox import two_states
from rowbox.mailbox.aggregate import mailbox as mailbox_module
from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import CopyNeed, Fact
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.aggregate.window import Window
from rowbox.mailbox.cells import LogCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.fence import Fence, Stamp, claim, is_valid
from rowbox.mailbox.message import Message, MessageCopy
from rowbox.mailbox.two_states import IndexCell

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def _nothing(*_: Any) -> None:
    """In place of what a rule does."""


def _everything_counts(fence: Fence, epoch: int, version: int) -> bool:
    return True


def _only_committed(_mailbox: Mailbox, _epoch: int, version: int, as_of: int) -> bool:
    return version <= as_of


def no_fence_filter_on_reads(patch: Patch) -> None:
    patch.setattr(mailbox_module, "is_valid", _everything_counts)
    patch.setattr(Mailbox, "counts", _only_committed)


def no_fence_filter_on_load(patch: Patch) -> None:
    for module in (two_states, claimed_row):
        patch.setattr(module, "is_valid", _everything_counts)


def filter_by_the_list_that_was_read(patch: Patch) -> None:
    choose = two_states.choose

    def by_the_old(fence: Fence, cells: Sequence[IndexCell[Any]]) -> Any:
        return choose(fence[:-1] or fence, cells)

    patch.setattr(claimed_row, "choose", by_the_old)


def no_second_state(patch: Patch) -> None:
    def only_current(cell: IndexCell[Any]) -> list[Any]:
        return [cell.current]

    patch.setattr(two_states, "states_of", only_current)


def the_state_before_the_command_not_the_mutation(patch: Patch) -> None:
    """The second state is the one before this command, which in a joined mutation is as uncertain as the first."""
    cells = Plan.cells
    put = Plan.put_conversation

    def remembering(self: Plan, conversation_id: bytes, state: Conversation, *rest: Any, **named: Any) -> None:
        before.setdefault(id(self), {})[conversation_id] = self.conversation(conversation_id)
        put(self, conversation_id, state, *rest, **named)

    def with_wrong_previous(self: Plan) -> list[Any]:
        own = before.get(id(self), {})
        return [
            replace(cell, previous=own.get(cell.key)) if isinstance(cell, IndexCell) else cell for cell in cells(self)
        ]

    before: dict[int, dict[bytes, Conversation | None]] = {}
    patch.setattr(Plan, "put_conversation", remembering)
    patch.setattr(Plan, "cells", with_wrong_previous)


def no_ownership_check(patch: Patch) -> None:
    for check in ("check", "admit"):
        patch.setattr(EpochGrant, check, _nothing)


NO_ADMISSION = {"self._table.admitted(": "self._table.row("}


def _without(patch: Patch, function: Any, *lines: str) -> None:
    """Leaves lines out of a function, wherever they stand there."""
    _rewritten(patch, function, dict.fromkeys(lines, "pass"))


def _rewritten(patch: Patch, function: Any, changes: Mapping[str, str]) -> None:
    """Replaces parts of a function's source, wherever they stand there."""
    source = textwrap.dedent(inspect.getsource(function))
    for part, instead in changes.items():
        assert part in source, f"{part} is not in {function.__qualname__}"
        source = source.replace(part, instead)
    made: dict[str, Any] = {}
    exec(source, function.__globals__, made)
    patch.setattr(function, "__code__", made[function.__name__].__code__)


def no_check_after_the_write(patch: Patch) -> None:
    """Only the commit path's checks are off; reads still ask."""
    for function in (Committer._owned, Committer._apply, Committer.answer):
        _without(patch, function, "row.grant.check()")
    _without(patch, Pipeline._rows_of, "row.grant.admit()")
    _rewritten(patch, Pipeline.submit, NO_ADMISSION)


def no_check_before_a_read_is_answered(patch: Patch) -> None:
    for function in (Fetches.conversations, Fetches.messages, Feed.changes):
        _rewritten(patch, function, {"grant.check()": "pass", **NO_ADMISSION})
    _without(patch, no_news, "waiter.grant.check()")


def the_epoch_stays_after_an_unknown_outcome(patch: Patch) -> None:
    patch.setattr(EpochGrant, "leave_epoch", _nothing)


def the_mailbox_stays_after_an_unknown_outcome(patch: Patch) -> None:
    patch.setattr(Table, "drop", _nothing)


def a_row_stays_when_the_check_after_its_write_fails(patch: Patch) -> None:
    """Only there: a failed check before the write still drops it, and so does an unknown outcome."""
    drop, apply = Table.drop, Committer._apply

    def keeping(self: Committer, batch: Batch, failed: Mapping[Row, RowboxError]) -> None:
        patch.setattr(Table, "drop", _nothing)
        try:
            apply(self, batch, failed)
        finally:
            patch.setattr(Table, "drop", drop)

    patch.setattr(Committer, "_apply", keeping)


def no_check_after_the_claim(patch: Patch) -> None:
    for function in (Loader._load_claimed, Loader._load_claimed_in_parts):
        _without(patch, function, "grant.check()")


def _invalid_or_not(fence: Fence, own: int, epoch: int, version: int) -> bool:
    return epoch < own


def valid_outbox_cells_are_garbage(patch: Patch) -> None:
    patch.setattr(claimed_row, "is_sweepable", _invalid_or_not)


def cells_of_higher_epochs_are_swept(patch: Patch) -> None:
    def whatever_is_invalid(fence: Fence, own: int, epoch: int, version: int) -> bool:
        return not is_valid(fence, epoch, version)

    patch.setattr(mailbox_module, "is_sweepable", whatever_is_invalid)


def no_second_look_before_a_poll_is_parked(patch: Patch) -> None:
    def nothing_came(self: Fetches, user_id: str, token: int) -> bool:
        return True

    patch.setattr(Fetches, "_is_newest", nothing_came)


def no_claim_on_load(patch: Patch) -> None:
    async def unwritten(self: Loader, row: bytes, grant: Grant, read: Fence, head: int) -> Fence:
        if read and read[-1].epoch >= grant.epoch:
            return read
        return claim(read, grant.epoch, head, 0, grant.incarnation)

    patch.setattr(Loader, "_claim", unwritten)


def the_claim_is_not_waited_for(patch: Patch) -> None:
    confirmed = Loader._claim
    under_way: set[Any] = set()

    async def unawaited(self: Loader, row: bytes, grant: Grant, read: Fence, head: int) -> Fence:
        if read and read[-1].epoch >= grant.epoch:
            return await confirmed(self, row, grant, read, head)
        epoch = grant.epoch
        task = asyncio.ensure_future(confirmed(self, row, grant, read, head))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        under_way.add(task)
        return claim(read, epoch, head, 0, grant.incarnation)

    patch.setattr(Loader, "_claim", unawaited)


def the_clock_does_not_go_on_from_the_head(patch: Patch) -> None:
    def zero(fence: Fence, stamps: Iterable[Stamp]) -> int:
        return 0

    for module in (loader, claimed_row):
        patch.setattr(module, "head_of", zero)


def client_ids_are_not_loaded(patch: Patch) -> None:
    def none(_self: SentIds, mailbox: Mailbox, *_rest: Any) -> None:
        mailbox.client_ids = ClientIds()

    patch.setattr(SentIds, "take_in", none)


def a_delivery_is_always_new(patch: Patch) -> None:
    def never(self: Plan, message: Message, fact: Fact | None, *, may_be_hidden: bool = False) -> bool | CopyNeed:
        return False

    patch.setattr(Plan, "holds", never)


def last_in_first_out(patch: Patch) -> None:
    class Stack(deque[Any]):
        def append(self, item: Any) -> None:
            self.appendleft(item)

    patch.setattr(row_module, "deque", Stack)


def _never(*_: Any) -> bool:
    return False


def any_number_of_mutations_in_flight(patch: Patch) -> None:
    """Neither the row's own lock nor its lane's holds a batch back."""
    patch.setattr(pipeline._Lane, "is_in_flight", property(_never, _nothing))
    patch.setattr(Row, "is_busy", property(_never, _nothing))


def reads_show_what_is_not_committed(patch: Patch) -> None:
    counts = Mailbox.counts

    def whatever(self: Mailbox, epoch: int, version: int, as_of: int) -> bool:
        return counts(self, epoch, version, 1 << 62)

    def holds(self: View, epoch: int, version: int, came: int, expires_us: int) -> bool:
        is_there = came > self.horizon and not 0 < expires_us <= self.now_us
        return self.mailbox.counts(epoch, version, came) and is_there

    patch.setattr(Mailbox, "counts", whatever)
    patch.setattr(View, "holds", holds)


def outboxes_are_forgotten_on_load(patch: Patch) -> None:
    def without(_self: ClaimedRow, _columns: Sequence[Column]) -> list[Any]:
        return []

    patch.setattr(ClaimedRow, "add_outbox", without)


def waiters_sleep_through_a_load(patch: Patch) -> None:
    patch.setattr(Waiters, "notify_loaded", _nothing)


def a_wait_that_ended_takes_the_new_head(patch: Patch) -> None:
    """As it was once: the answer to a wait that just ended is empty, and its token skips the change."""
    notify = Waiters.notify

    def skipping(self: Waiters, user_id: str, changes: Sequence[LogCell], head: int) -> None:
        notify(self, user_id, changes, head)
        for waiter in self._by_user.get(user_id, ()):
            waiter.head = head

    patch.setattr(Waiters, "notify", skipping)


def a_fill_ignores_what_came_meanwhile(patch: Patch) -> None:
    fill = Window.fill

    def whatever(self: Window, older: Sequence[MessageCopy], floor: bytes, missed_before: int) -> bool:
        return fill(self, older, floor, self.missed)

    patch.setattr(Window, "fill", whatever)
