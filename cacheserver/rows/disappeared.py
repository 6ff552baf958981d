"""Removes messages that have come to an end of their own from the rows of an owner's shards, some time after it.

No answer has such a message from its end on, whatever the store holds (view.py). The key of its cell tells its end, so
keys are all that is read, and cells go by their exact names, one conversation after the other. That needs no claim:
what has ended has ended for every owner, and what a late write brings back is removed the next time. MARGIN_US is
longer than clocks of owners differ and than anything that began before the end goes on.

A row that has such messages says so in its index, by the conversation's ttl (mailbox/expiry). A row that comes into
memory with one is looked at soon; beside that a slow walk over all rows looks at each, a few in a round.
"""

import asyncio
from typing import Final

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.cacheserver.rows.walk import runs_of
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema import keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import TTL
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.expiry.ttl import has_expired

MARGIN_US: Final = 600 * US_PER_S
ROUND_S: Final = 1.0
ROUND_ROWS: Final = 100
"""Rows looked at in a round: a read of one key each, but for those with a ttl. A million take three hours."""
ROUND_KEYS: Final = 20_000
"""Keys of messages read in a round, and not many more."""
KEY_COLUMNS: Final = 1_000
"""Keys asked for in one call."""
FIRST_WALK_S: Final = 600.0
"""After so long the first walk of an owner begins: what it serves first comes first."""
WALK_S: Final = 6 * 3600.0
"""From the beginning of a walk to that of the next one, at least."""
MOST_WAITING: Final = 10_000
"""Rows that came into memory and wait to be looked at; more are left to the walk."""


class Disappeared:
    """What one owner removes of messages that have ended, in the rounds of `loop`."""

    def __init__(self, store: StoreReader, ownership: Ownership, cleaner: Cleaner, seen_us: NowUs) -> None:
        """`seen_us`: the time that is known to have passed."""
        self._store = store
        self._ownership = ownership
        self._cleaner = cleaner
        self._seen_us = seen_us
        self._waiting: dict[bytes, None] = {}
        self._runs: list[range] = []
        """What is left of the walk."""
        self._after: bytes | None = None
        self._now_s = asyncio.get_running_loop().time
        self._next_walk_s = self._now_s() + FIRST_WALK_S
        self._keys_left = 0
        self.loop = BackgroundLoop("disappeared", self._round)
        self.walks = 0
        """Walks that came to their end."""
        self.removed = 0
        """Cells given to the cleaner."""

    def loaded(self, row: bytes, mailbox: Mailbox) -> None:
        """A mailbox came into memory."""
        if TTL.letter in mailbox.others and len(self._waiting) < MOST_WAITING:
            self._waiting[row] = None
            self.loop.wake()

    async def _round(self) -> float:
        """Looks at rows that wait, then at some of the walk's. What fails is left to the next walk, and told."""
        self._keys_left = ROUND_KEYS
        failed: RowboxError | None = None
        rows = await self._next_rows()
        while rows and self._keys_left > 0:
            try:
                await self._look_at(rows.pop(0))
            except RowboxError as error:
                failed = error
        self._waiting |= dict.fromkeys(rows)
        if failed is not None:
            raise failed
        return ROUND_S if self._waiting or self._runs else max(ROUND_S, self._next_walk_s - self._now_s())

    async def _next_rows(self) -> list[bytes]:
        rows = list(self._waiting)[:ROUND_ROWS]
        for row in rows:
            del self._waiting[row]
        shards = self._ownership.shards
        owned = frozenset(shard for shard in range(self._store.shards) if shard in shards)
        if not self._runs and self._now_s() >= self._next_walk_s:
            self._runs, self._after, self._next_walk_s = list(runs_of(owned)), None, self._now_s() + WALK_S
        if self._runs and len(rows) < ROUND_ROWS:
            count = ROUND_ROWS - len(rows)
            found = await self._store.scan_rows(self._runs[0], Family.INDEX, self._after, count)
            self._after = found[-1] if len(found) == count else None
            if self._after is None:
                self._runs.pop(0)
                self.walks += not self._runs
            rows += [row for row in found if keys.name_of(row, self._store.shards) is not None]
        return [row for row in rows if keys.shard_of_row(row) in owned]

    async def _look_at(self, row: bytes) -> None:
        """Removes what has ended of a row."""
        start, stop = TTL.letter, bytes([TTL.letter[0] + 1])
        while True:
            columns = await self._store.get_range(row, Family.INDEX, start, stop, KEY_COLUMNS, keys_only=True)
            for conversation_id in dict.fromkeys(keys.split_state_qualifier(qualifier)[0] for qualifier, _ in columns):
                await self._look_through(row, conversation_id)
            if len(columns) < KEY_COLUMNS:
                return
            start = keys.after(columns[-1][0])

    async def _look_through(self, row: bytes, conversation_id: bytes) -> None:
        start, stop = keys.message_range(conversation_id, None, None)
        while True:
            columns = await self._store.get_range(row, Family.MESSAGES, start, stop, KEY_COLUMNS, keys_only=True)
            self._keys_left -= len(columns)
            before_us = self._seen_us() - MARGIN_US
            stamps = [(qualifier, keys.message_stamp(qualifier)) for qualifier, _ in columns]
            ended = [
                (qualifier, version) for qualifier, (_, version, _, ends) in stamps if has_expired(ends, before_us)
            ]
            if ended:
                newest = max(version for _, version in ended)
                self._cleaner.remove(row, [(Family.MESSAGES, qualifier) for qualifier, _ in ended], newest)
                self.removed += len(ended)
            if len(columns) < KEY_COLUMNS:
                return
            start = keys.after(columns[-1][0])
