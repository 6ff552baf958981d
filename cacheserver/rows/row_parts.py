"""Reads a family of a row in parts: bounded reads, one after the other, with a turn of all other tasks between them.

The parts are of no one moment. Each caller says why that is enough.
"""

import asyncio
from collections.abc import AsyncIterator

from rowbox.cacheserver.stores.port import Column, StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after

PART_COLUMNS = 500
"""Read, decoded and taken in between two turns of the others: 2 ms embedded; 4 ms for which a cluster's client holds
the interpreter while it decodes a reply (8 us for each column)."""
OUTBOX_COLUMNS = 32
"""Columns of an outbox in one part: each is a whole message of up to 64 KiB."""
LAST_QUALIFIER = b"\xff" * 64
"""Sorts after every qualifier."""


def has_settled(before: int, head: int) -> bool:
    """Whether a reading of an index in parts can be claimed with: it shows the same head as the one before it.

    What such a reading found is all that will ever count by the claim (docs/adr/0022-loads-in-parts.md).
    """
    return before == head


async def in_parts(
    store: StoreReader, row: bytes, family: Family, start: bytes, columns: int
) -> AsyncIterator[list[Column]]:
    """All columns from `start` on, ascending, in parts of `columns` at most; at least one part."""
    while True:
        part = await store.get_range(row, family, start, LAST_QUALIFIER, columns)
        yield part
        if len(part) < columns:
            return
        start = after(part[-1][0])
        await asyncio.sleep(0)
