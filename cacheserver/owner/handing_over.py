"""What an owner hands over of shards that it has closed (Owner.close_shards): the mailboxes in its memory, packed.

Not handed over, and so loaded by the next owner:

    a row of an unknown outcome       its mailbox was dropped: what stands in the row is not known here
    a row at work                     something may yet become of it. After the close there is none
    a row of a silent range           the store has it, and it may be late in coming there (quarantine.py)
    a sender of whom something has    only the outbox in the store holds that. Whoever went on with what is in memory
    spilled                           would let newer messages overtake it
    a mailbox of more than MOST_BYTES a load of it in parts lets others have their turn, what is handed over does not

The most recently used mailboxes come first: if there is no time or room for all, these are the ones that are missed.
"""

import asyncio
from collections.abc import AsyncIterator, Collection

from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.delivery.delivery import Delivery
from rowbox.cacheserver.rows.stash import HandedRow
from rowbox.cacheserver.stores.quarantine import Quarantine
from rowbox.mailbox.aggregate.hand_over import packed_mailbox

MOST_BYTES = 2 << 20
"""Of a mailbox in memory: half a megabyte packed, which is taken in within 10 ms."""
SLICE_S = 0.002
"""How long others wait for their turn at most, but for one mailbox."""
LOOKED_AT = 1_000
"""Rows that are looked at in one turn."""


class HandingOver:
    """Packs rows of one owner."""

    def __init__(self, table: Table, delivery: Delivery, quarantine: Quarantine) -> None:
        self._table = table
        self._delivery = delivery
        self._quarantine = quarantine

    async def parts(self, shards: Collection[int], most_bytes: int, part_bytes: int) -> AsyncIterator[list[HandedRow]]:
        """What is handed over of closed shards, at most `most_bytes` in all: parts of about `part_bytes` each.

        Other tasks have their turns meanwhile. What they may change of these shards is that a row is evicted.
        """
        loop = asyncio.get_running_loop()
        rows = await self._hottest_first(frozenset(shards))
        outboxes = self._delivery.outboxes({row.user_id for row in rows})
        part: list[HandedRow] = []
        left, room, slice_ends_s = most_bytes, part_bytes, loop.time() + SLICE_S
        for row in rows:
            mailbox = row.mailbox
            if mailbox is None or not self._is_complete(row):
                continue
            outbox = outboxes.get(row.user_id, [])
            handed = HandedRow(row.user_id, bool(outbox), packed_mailbox(mailbox, outbox))
            if handed.size_bytes > left:
                break
            part.append(handed)
            left -= handed.size_bytes
            room -= handed.size_bytes
            if room <= 0:
                yield part
                part, room = [], part_bytes
            if loop.time() >= slice_ends_s:
                await asyncio.sleep(0)
                slice_ends_s = loop.time() + SLICE_S
        if part:
            yield part

    async def _hottest_first(self, shards: frozenset[int]) -> list[Row]:
        found: list[Row] = []
        rows = self._table.rows()
        for start in range(0, len(rows), LOOKED_AT):
            found += [row for row in rows[start : start + LOOKED_AT] if row.grant.shard in shards]
            await asyncio.sleep(0)
        found.reverse()
        return found

    def _is_complete(self, row: Row) -> bool:
        """Whether what is in memory of a row is all that the row holds, and will go on being."""
        return (
            row.is_evictable
            and row.size_bytes <= MOST_BYTES
            and self._quarantine.is_open(row.key)
            and not self._delivery.has_spilled(row.user_id)
        )
