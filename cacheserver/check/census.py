"""Counts what a store holds, for `rowbox stats`. It reads the index and the keys of messages, and counts valid cells.

Copies of messages are counted, so a message between two users counts twice. It needs memory for one page of keys and
one mailbox's index.
"""

from collections.abc import AsyncIterator

import msgspec

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.rows.walk import row_keys, shard_runs
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import name_of
from rowbox.mailbox.cells import CONVERSATION, PROFILE
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Report
from rowbox.mailbox.group import is_group_name
from rowbox.mailbox.ids import sent_timestamp
from rowbox.mailbox.people.profile import Profile


class Census(msgspec.Struct):
    """What was counted so far. Times are sentTimestamps in microseconds; None where there is no message."""

    shards: int
    shards_done: int = 0
    mailboxes: int = 0
    conversations: int = 0
    messages: int = 0
    foreign_rows: int = 0
    """The number of rows that are nobody's. `rowbox check` names them."""
    oldest_us: int | None = None
    newest_us: int | None = None
    groups: int = 0
    erased: int = 0
    """Rows of users who are deleted: they are no mailboxes."""

    def add_message(self, sent_us: int) -> None:
        """Counts a copy of a message."""
        self.messages += 1
        self.oldest_us = sent_us if self.oldest_us is None else min(self.oldest_us, sent_us)
        self.newest_us = sent_us if self.newest_us is None else max(self.newest_us, sent_us)


async def take_census(store: StoreReader) -> AsyncIterator[Census]:
    """Yields one and the same Census after every run of shards; the last time it is complete. Unreadable cells are not
    counted.
    """
    census = Census(store.shards)
    cells = RowCells(store, ignore)
    for shards in shard_runs(store.shards):
        async for row in row_keys(store, shards, Family.INDEX):
            name = name_of(row, store.shards)
            if name is None:
                census.foreign_rows += 1
            else:
                await _count_row(store, cells, name, row, census)
        census.shards_done += len(shards)
        yield census


async def _count_row(store: StoreReader, cells: RowCells, name: str, row: bytes, census: Census) -> None:
    """A group's own row counts as a group alone: its messages are those that its members' mailboxes have."""
    if is_group_name(name):
        census.groups += 1
        return
    frame = await cells.frame(row)
    fence = FenceCheck(frame.fences, Report(name), fenced=store.late_writes)
    states = fence.states(frame.states)
    profile: Profile | None = states[PROFILE.letter].get(b"")
    if profile is not None and profile.erasure is not None:
        census.erased += 1
        return
    census.mailboxes += 1
    census.conversations += len(states[CONVERSATION.letter])
    async for key in cells.message_keys(row):
        if fence.counts(key.epoch, key.version):
            census.add_message(sent_timestamp(key.message_id))
